"""Simulated partner service desks, for trying and testing the exchange: `python manage.py simulator`.

The simulator runs in its own process and uses neither our database nor our models. `server` documents its URLs.
"""
