"""The format of times in the API and in payloads to partners."""

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC, as in 2026-11-24T09:30:00Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
