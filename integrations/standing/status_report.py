"""The output of `exchange_status`: a table for people, or JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from changes.models import RestoredCopy
from changes.texts.timestamps import timestamp
from integrations.tokens.life import end_of
from integrations.tokens.naming import token_name

from .status import SystemStatus, uncollected

TEXTS = ("System", "State", "Breaker", "Last delivered")
HEADS = (
    *("System", "State", "Waiting", "Oldest", "In flight", "Refused", "Breaker"),
    *("Last min", "Per min", "Limit", "Last delivered"),
)
FORMAT = "%Y-%m-%d %H:%M:%S"


def as_json(statuses: Sequence[SystemStatus], now: datetime, copy: RestoredCopy | None) -> dict[str, Any]:
    """The report as JSON values. Programs rely on the keys: add keys, but never rename or remove one."""
    systems = [_system(status) for status in statuses]
    held = {"taken_at": _moment(copy.taken_at), "restored_at": _moment(copy.restored_at)} if copy else None
    return {"at": timestamp(now), "restored_copy": held, "uncollected": len(uncollected(statuses)), "systems": systems}


def _system(status: SystemStatus) -> dict[str, Any]:
    breaker = status.breaker
    return {
        "system_id": status.system_id,
        "state": status.flow.word,
        "condition": status.flow.condition.value,
        "detail": status.flow.detail,
        "delivery": status.system.delivery,
        "enabled": status.system.enabled,
        "paused_at": _moment(status.system.paused_at),
        "waiting": status.waiting,
        "oldest_waiting_at": _moment(status.oldest_waiting),
        "oldest_waiting_seconds": status.oldest_waiting_age,
        "in_flight": status.in_flight,
        "max_in_flight": status.max_in_flight,
        "refused": status.refused,
        "breaker": {
            "state": breaker.state.value,
            "since": _moment(breaker.since),
            "until": _moment(breaker.until),
            "cause": breaker.cause or None,
            "reason": breaker.reason,
            "consecutive_failures": breaker.consecutive_failures,
        },
        "delivered_last_minute": status.delivered_last_minute,
        "delivered_per_minute": status.delivered_per_minute,
        "rate_limit": status.rate_limit,
        "last_delivered_at": _moment(status.last_delivered),
        "last_asked_at": _moment(status.flow.asked_at),
        "ending_tokens": [
            {"token": token_name(token), "expires_at": _moment(token.expiry)} for token in status.ending_tokens
        ],
    }


def _moment(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None


def as_text(statuses: Sequence[SystemStatus], now: datetime) -> str:
    """A table, and below it the reason for each system that is not well."""
    lines = [f"The exchange at {_local(now)} {timezone.localtime(now):%Z}", ""]
    if not statuses:
        return "\n".join([*lines, "No external system is registered."])
    lines += _table([_row(status) for status in statuses])
    held = [status for status in statuses if not status.flow.is_well]
    if held:
        lines += ["", *(_why(status) for status in held)]
    if stopped := uncollected(statuses):
        lines += ["", f"Systems that do not collect their operations: {len(stopped)}."]
    ending = [f"{status.system_id}: {end_of(token)}" for status in statuses for token in status.ending_tokens]
    if ending:
        lines += ["", *ending]
    return "\n".join(lines)


def _row(status: SystemStatus) -> dict[str, str]:
    cells = (
        status.system_id,
        status.flow.word,
        str(status.waiting),
        duration(status.oldest_waiting_age),
        # The limit and the breaker are for those that are called.
        str(status.in_flight) if status.system.collects else f"{status.in_flight}/{status.max_in_flight}",
        str(status.refused),
        "-" if status.system.collects else str(status.breaker.state.label),
        str(status.delivered_last_minute),
        f"{status.delivered_per_minute:g}",
        str(status.rate_limit or "-"),
        _local(status.last_delivered) if status.last_delivered else "never",
    )
    return dict(zip(HEADS, cells, strict=True))


def _table(rows: list[dict[str, str]]) -> list[str]:
    widths = {head: max(len(head), *(len(row[head]) for row in rows)) for head in HEADS}

    def line(cells: dict[str, str]) -> str:
        padded = (
            cells[head].ljust(width) if head in TEXTS else cells[head].rjust(width) for head, width in widths.items()
        )
        return "  ".join(padded).rstrip()

    return [line({head: head for head in HEADS}), line({head: "-" * widths[head] for head in HEADS}), *map(line, rows)]


def _why(status: SystemStatus) -> str:
    flow = status.flow
    probe = f" Next try {_local(flow.next_try_at)}." if flow.next_try_at else ""
    asked = f" Last asked {_local(flow.asked_at)}." if flow.asked_at else ""
    return f"{status.system_id}: {flow.detail}{probe}{asked}"


def _local(moment: datetime) -> str:
    return timezone.localtime(moment).strftime(FORMAT)


def duration(seconds: int | None) -> str:
    """A duration in its two largest units, such as `3 h 5 min`; "-" for None."""
    if seconds is None:
        return "-"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count or first == len(units) - 1)
