"""Generates many changes, to try and measure the product at the size of a large desk: `manage.py generate_changes`.

The rows are written in bulk, bypassing the models: no signals, no sending, no validation. They look as if the models
had written them.
"""
