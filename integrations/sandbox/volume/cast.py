"""The people, groups and partners of generated changes. Existing ones are used, missing ones created."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from changes.choices import Role
from changes.models import SupportGroup
from integrations.models import ExternalGroup, ExternalSystem, PartnerAccount
from integrations.transports.signing import new_secret

from .words import GROUPS, PARTNERS

_AGENTS = 20


@dataclass(frozen=True)
class Partner:
    """The keys of one external system, of its authorized user and of its groups."""

    pk: int
    system_id: str
    user: int
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Cast:
    """The keys of our people and groups, and the partners."""

    agents: list[int]
    groups: list[int]
    partners: list[Partner]


def gather(system_ids: Sequence[str]) -> Cast:
    """Finds or creates the people, groups and partners. `system_ids`: the partners; if empty, ten named after trees.

    The endpoints of created partners lead nowhere, so nothing is ever sent to anybody.
    """
    with transaction.atomic():
        agents = [_agent(number) for number in range(1, _AGENTS + 1)]
        for name in GROUPS:
            SupportGroup.objects.get_or_create(name=name)
        groups = list(SupportGroup.objects.filter(name__in=GROUPS, external_group=None))
        for place, group in enumerate(groups):
            group.members.add(agents[place % _AGENTS], agents[(place + 1) % _AGENTS])
        partners = [_partner(system_id) for system_id in system_ids or PARTNERS]
    return Cast([agent.pk for agent in agents], [group.pk for group in groups], partners)


def _agent(number: int) -> Any:
    user, is_new = get_user_model().objects.get_or_create(username=f"agent{number:02}")
    if is_new:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get(name=Role.AGENT.value))
    return user


def _partner(system_id: str) -> Partner:
    system = ExternalSystem.objects.filter(system_id=system_id).first()
    if system is None:
        user, is_new = get_user_model().objects.get_or_create(username=f"{system_id.lower()}-integration")
        if is_new:
            PartnerAccount.objects.create(user=user)
        system = ExternalSystem(
            system_id=system_id, description=f"{system_id.title()}, generated", authorized_user=user
        )
        system.endpoint_url = f"https://{system_id.lower()}.invalid/operations"  # a name that never leads anywhere
        system.signing_secret = new_secret()
        system.save()
    groups = [external.group_id for external in system.external_groups.all()]
    if not groups:
        group, _ = SupportGroup.objects.get_or_create(name=f"{system_id.title()} Operations")
        groups = [ExternalGroup.objects.create(group=group, system=system).group_id]
    return Partner(system.pk, system_id, system.authorized_user_id, tuple(groups))
