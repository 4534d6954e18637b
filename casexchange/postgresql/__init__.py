"""The database engine of this project: Django's engine for PostgreSQL with a cheaper health check."""
