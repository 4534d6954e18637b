"""The database engine of this project: Django's for PostgreSQL, with another health check."""
