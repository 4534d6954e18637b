"""The form of a change, and the merge when two people edit it at the same time."""
