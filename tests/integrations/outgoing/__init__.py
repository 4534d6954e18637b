"""Tests of which operations the events on a change cause, and what is recorded."""
