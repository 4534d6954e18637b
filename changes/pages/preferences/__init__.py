"""A person's preferences: language, time zone, keyboard shortcuts."""
