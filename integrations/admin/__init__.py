"""The administration of the exchange: external systems, operations both ways, groups, tokens."""

from . import operations, people, records, systems, tokens

__all__ = ["operations", "people", "records", "systems", "tokens"]
