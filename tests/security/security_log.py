"""What the security log says."""

from __future__ import annotations

from changes import rate_limits
from changes.models import SecurityEvent
from changes.security_log import chain, floods, wording


def events(after: int = 0) -> list[SecurityEvent]:
    chain.seal()
    return list(SecurityEvent.objects.filter(id__gt=after))


def last() -> int:
    """The number of the last entry. From here on, refusals are counted anew."""
    found = events()
    floods.forget()
    rate_limits.forget()
    return found[-1].id if found else 0


def told(after: int = 0) -> list[str]:
    """The sentences of the entries after that number, with what changed."""
    return [whole(event) for event in events(after)]


def whole(event: SecurityEvent) -> str:
    fields = [
        f"[{each.field} changed]" if each.old is None else f"[{each.field}: {each.old} -> {each.new}]"
        for each in wording.altered(event)
    ]
    reasons = [f"({wording.reason(event)})"] if wording.reason(event) else []
    return " ".join([wording.sentence(event), *fields, *reasons])
