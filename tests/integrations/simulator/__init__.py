"""Tests of the partner simulator."""
