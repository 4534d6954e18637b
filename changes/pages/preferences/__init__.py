"""What a person chose: language, time zone, keyboard shortcuts."""
