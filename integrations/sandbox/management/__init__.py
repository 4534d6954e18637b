"""The management commands of the sandbox."""
