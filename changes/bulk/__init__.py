"""What a person does to many records at once: chosen, previewed, then carried out by a worker, one by one.

A job is a draft until its preview is confirmed (`drafts.py`). `running.py` then does each of its records in a
transaction of its own, together with the record's result. What there is to do is told by kinds (`kind.py`): those of
changes are in `change_kinds.py`, and another app registers its own.
"""
