"""Many changes at once, to try and measure the product at the size of a large desk: `manage.py generate_changes`.

Written around the models, in bulk: nothing of it is announced, sent or checked by them. It is as the models would have
left it.
"""
