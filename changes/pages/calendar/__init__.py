"""The calendar of planned changes."""
