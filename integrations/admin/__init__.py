"""The admin of the exchange: external systems, operations in both directions, users and groups, API tokens."""

from . import operations, people, records, systems, tokens

__all__ = ["operations", "people", "records", "systems", "tokens"]
