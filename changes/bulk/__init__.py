"""Bulk jobs: a person chooses many records and confirms a preview, then a worker does one record after another.

A job is a draft until its preview is confirmed (`drafts.py`). `running.py` then does each record in its own
transaction, together with the record's result. A kind (`kind.py`) is an action: the kinds for changes are in
`change_kinds.py`, and another app registers its own.
"""
