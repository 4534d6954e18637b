"""The form of a change, and the merge of two edits at once."""
