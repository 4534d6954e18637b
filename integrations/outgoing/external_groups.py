"""Which partner a support group belongs to."""

from __future__ import annotations

from changes.models import SupportGroup
from integrations import statements
from integrations.models import ExternalGroup, ExternalSystem

# Attribute of a group from `group_named()`: the partner that it belongs to, or None.
_SYSTEM = "_external_system"


def group_named(name: str) -> SupportGroup | None:
    """The group of this name, or None. Its partner is read too, so `system_of()` needs no query."""
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
