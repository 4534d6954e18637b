"""The page of the workflow, with a diagram of each change type."""
