"""Demo data (a desk with a history and three partners), and the scenes that `manage.py demo` plays."""
