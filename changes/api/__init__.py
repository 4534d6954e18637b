"""The REST API for changes, and the building blocks that the API of the exchange shares."""
