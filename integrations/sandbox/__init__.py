"""Only to try the product: the partner simulator, demo data, volume, `serve` and `demo`. An app of its own."""
