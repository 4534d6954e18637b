"""The background work: its wake-ups, and how it ends."""
