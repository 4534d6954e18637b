"""The page of one change: its fields, its phase, approvals, the timeline."""
