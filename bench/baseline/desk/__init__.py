"""A minimal DRF app: token authentication, one model, one serializer, one INSERT for each POST."""
