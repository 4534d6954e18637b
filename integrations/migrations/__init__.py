"""The database migrations of the app `integrations`."""
