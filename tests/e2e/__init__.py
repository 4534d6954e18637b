"""Tests with whole installations or a real browser."""
