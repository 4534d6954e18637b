"""Backups: one file with the database and the attachments, and how an installation is restored from it."""
