"""The list of changes: filters, search, paging, saved filters and the CSV export."""
