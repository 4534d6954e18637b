"""A person's data: all of it in one file, or erased as far as the history allows."""
