"""Everything on one machine: what `manage.py serve` and `manage.py demo` have in common."""
