"""The administration of change records, groups, people and roles."""

from . import people, record, signins

__all__ = ["people", "record", "signins"]
