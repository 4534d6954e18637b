"""The diagrams of the workflow."""
