"""An app that is only for trying the product: partner simulator, demo data, generated changes, `serve` and `demo`."""
