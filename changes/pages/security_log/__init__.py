"""The page of the security log, for auditors: filters, and an export of what they match."""
