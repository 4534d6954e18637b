"""A person's preferences: language, time zone, theme, keyboard shortcuts."""
