"""Running an installation on one machine: what `manage.py serve` and `manage.py demo` share."""
