"""Keeps partners apart from staff, for every way in: their accounts hold no role, and their groups have no members."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.db.models.signals import m2m_changed
from django.http import HttpRequest
from django.utils.translation import gettext as _

from changes.choices import Role
from changes.models import SupportGroup
from integrations.models import ExternalGroup, PartnerAccount


def refuse_roles(
    sender: object, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: object
) -> None:
    """Refuses a role for a partner's account: a user with a role is staff and sees all changes."""
    if action != "pre_add" or not pk_set:
        return
    groups = Group.objects.filter(pk=instance.pk) if reverse else Group.objects.filter(pk__in=pk_set)
    partner = _partner_among(pk_set if reverse else {instance.pk})
    if partner and groups.filter(name__in=Role.values).exists():
        raise ValidationError(no_role(partner))


def _partner_among(keys: set[int]) -> User | None:
    users = get_user_model().objects.filter(pk__in=keys)
    return users.filter(Q(partner_account__isnull=False) | Q(authorized_systems__isnull=False)).first()


def no_role(user: User) -> str:
    """Why the account of a partner gets no role and no other rights of staff."""
    systems = ", ".join(system.system_id for system in user.authorized_systems.all())
    if systems:
        message = _("%(user)s is the authorized user of %(systems)s: a partner's account holds no role.")
        return message % {"user": user.get_username(), "systems": systems}
    return _("%(user)s is a partner's account, which holds no role.") % {"user": user.get_username()}


def refuse_members(
    sender: object, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: object
) -> None:
    """Refuses a member for an external group, and a partner's account as a member of any."""
    if action != "pre_add" or not pk_set:
        return
    groups = pk_set if reverse else {instance.pk}
    partner = _partner_among({instance.pk} if reverse else pk_set)
    if partner:
        message = _("%(user)s is a partner's account, which is a member of no group.")
        raise ValidationError(message % {"user": partner.get_username()})
    external = ExternalGroup.objects.filter(group__in=groups).select_related("group", "system").first()
    if external:
        raise ValidationError(external.either_or())


class PartnersStayOut:
    """An authentication backend, before that of passwords: a partner's account opens no page, whatever its password.

    The password is for the calls of its SMAX adapter alone: integrations/smax/accounts.py. This backend has no
    `get_user`: allauth takes the first one that has, for the sessions that it begins.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: object
    ) -> None:
        if username and "\x00" not in username and PartnerAccount.objects.filter(user__username=username).exists():
            get_user_model()().set_password(password)  # takes as long as a check, so that the time tells nothing
            raise PermissionDenied


def connect() -> None:
    user = get_user_model()
    m2m_changed.connect(refuse_roles, sender=user.groups.through, dispatch_uid="integrations.refuse_roles")
    m2m_changed.connect(refuse_members, sender=SupportGroup.members.through, dispatch_uid="integrations.refuse_members")
