"""Support for the background workers: their wake-ups, their shutdown, and what tells that they run."""
