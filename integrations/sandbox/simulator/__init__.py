"""A small partner service desk, to try and test the exchange against: `python manage.py simulator`.

It runs in a process of its own and touches neither our database nor our models. `server` documents its addresses.
"""
