"""How much a partner can make us store: a budget of bytes for each system and hour."""

from __future__ import annotations

from django.conf import settings

from changes.models import Change
from changes.models.holding import notes
from changes.rate_limits import Rate, charge, use
from integrations.models import ExternalSystem

from .request import IncomingRequest

# The long texts of a change, of which a snapshot mostly consists.
_TEXTS = ("description", "reason", "justification", "implementation_plan", "backout_plan")
# Everything else in a row or a snapshot, roughly.
_ROW = 1000


def wait_for_budget(system: ExternalSystem, received: int) -> float:
    """Counts `received` bytes against the system's budget. Returns 0, or the seconds until there is one again."""
    rate = _rate()
    return use(_name(system), rate, received) if rate else 0


def count_stored(system: ExternalSystem, stored: int) -> None:
    """Counts what an applied operation made us store besides what it sent. This may exceed the budget."""
    if rate := _rate():
        charge(_name(system), rate, stored)


def stored_because_of(request: IncomingRequest, change: Change) -> int:
    """The bytes of what follows from an operation besides itself. Call it while the change's lock is held.

    Copies of the change: in the answer, in the history, and one for each system that hears of it. Copies of each
    comment: one for each of these systems.
    """
    told = len(notes(change))
    size = _ROW + sum(len(getattr(change, name).encode()) for name in _TEXTS)
    comments = sum(_ROW + len(comment["body"].encode()) for comment in request.comments)
    return size * (1 + bool(request.properties) + told) + comments * told


def _name(system: ExternalSystem) -> str:
    return f"stored:{system.pk}"


def _rate() -> Rate | None:
    return Rate(settings.PARTNER_BYTES_PER_HOUR, 3600) if settings.PARTNER_BYTES_PER_HOUR else None
