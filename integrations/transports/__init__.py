"""Sending one request to a partner. Uses neither Django nor the models."""
