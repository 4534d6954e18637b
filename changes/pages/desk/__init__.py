"""The start page: work that waits for the person, and the current state of all changes."""
