"""Which partner a support group belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from changes.models import SupportGroup
from integrations import statements
from integrations.models import ExternalGroup, ExternalSystem

# Attribute of a group from `group_named()`: the partner that it belongs to, or None.
_SYSTEM = "_external_system"


_read: ContextVar[dict[str, SupportGroup] | None] = ContextVar("groups read", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Reads each group only once inside. For a request with many operations, which mostly name the same few."""
    token = _read.set({})
    try:
        yield
    finally:
        _read.reset(token)


def group_named(name: str) -> SupportGroup | None:
    """The group of this name, or None. Its partner is read too, so `system_of()` needs no query."""
    known = _read.get()
    if known is None or name not in known:
        group = _group_named(name)
        if known is None or group is None:
            return group
        known[name] = group
    return known[name]


def _group_named(name: str) -> SupportGroup | None:
    found = statements.group_with_system(name)
    if found is None:
        return None
    group, system = found
    setattr(group, _SYSTEM, system)
    return group


def system_of(group: SupportGroup | None) -> ExternalSystem | None:
    """The partner that the group belongs to, or None for one of ours. Only its key and `system_id` are loaded."""
    if group is None:
        return None
    if hasattr(group, _SYSTEM):
        known: ExternalSystem | None = getattr(group, _SYSTEM)
        return known
    external = ExternalGroup.objects.filter(group=group).select_related("system")
    found = external.only("group", "system__system_id").first()
    return found.system if found else None
