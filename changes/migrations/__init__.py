"""The database migrations of the app `changes`."""
