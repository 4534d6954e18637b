"""The management commands of the sandbox, one module each."""
