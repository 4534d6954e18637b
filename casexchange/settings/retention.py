"""Retention: after how many days what is removed. None: never."""

from casexchange.settings.environment import days, env

__all__ = [
    "RETENTION_ARCHIVE",
    "RETENTION_ATTEMPT_DAYS",
    "RETENTION_CHANGE_DAYS",
    "RETENTION_DELIVERED_DAYS",
    "RETENTION_INCOMING_BODY_DAYS",
]

RETENTION_DELIVERED_DAYS = days("RETENTION_DELIVERED_DAYS")
RETENTION_ATTEMPT_DAYS = days("RETENTION_ATTEMPT_DAYS")
RETENTION_INCOMING_BODY_DAYS = days("RETENTION_INCOMING_BODY_DAYS")
RETENTION_CHANGE_DAYS = days("RETENTION_CHANGE_DAYS")
# A folder; without it nothing is archived.
RETENTION_ARCHIVE = env.str("RETENTION_ARCHIVE", "")
