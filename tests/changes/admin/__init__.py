"""Tests of changes, additions and people in the administration."""
