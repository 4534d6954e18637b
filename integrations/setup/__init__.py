"""Configuration files, roles and system checks."""
