"""The files of attachments: what they are by their content, and whether a scanner found them clean."""
