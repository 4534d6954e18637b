"""Comments and attachments of a change."""
