"""Which partner a support group belongs to."""

from __future__ import annotations

from changes.models import SupportGroup
from integrations import statements
from integrations.models import ExternalGroup, ExternalSystem

# On a group that was found by its name: the partner whose it is.
_SYSTEM = "_external_system"


def group_named(name: str) -> SupportGroup | None:
    """The group, which knows its system: `system_of()` does not ask again."""
    found = statements.group_with_system(name)
    if found is None:
        return None
    group, system = found
    setattr(group, _SYSTEM, system)
    return group


def system_of(group: SupportGroup | None) -> ExternalSystem | None:
    """The partner whose group it is, with its key and its `system_id` read; None for one of ours."""
    if group is None:
        return None
    if hasattr(group, _SYSTEM):
        known: ExternalSystem | None = getattr(group, _SYSTEM)
        return known
    external = ExternalGroup.objects.filter(group=group).select_related("system")
    found = external.only("group", "system__system_id").first()
    return found.system if found else None
