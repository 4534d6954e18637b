"""What staff see: one package for each page, and beside its views what the page shows."""
