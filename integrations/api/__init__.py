"""The REST API for partners: their operations, and the changes that they may read."""
