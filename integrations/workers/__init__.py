"""Support for the background workers: their wake-ups and their shutdown."""
