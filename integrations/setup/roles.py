"""The permissions of each role on the exchange. For those on change records see changes/roles.py."""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models.signals import m2m_changed, post_migrate
from django.utils.translation import gettext as _

from changes.choices import Role
from changes.roles import grant
from integrations.models import ExternalSystem

_MODELS = (
    "externalsystem",
    "externalgroup",
    "externalreference",
    "exchange",
    "outgoingoperation",
    "incomingoperation",
    "deliveryattempt",
)
_VIEW = [f"integrations.view_{model}" for model in _MODELS]
PERMISSIONS = {
    Role.AGENT: _VIEW,
    Role.CHANGE_MANAGER: _VIEW,
    Role.INTEGRATION_ADMINISTRATOR: [
        *_VIEW,
        *(f"integrations.{action}_externalsystem" for action in ("add", "change", "delete")),
        *(f"integrations.{action}_externalgroup" for action in ("add", "change", "delete")),
        "integrations.retry_outgoingoperation",
        "integrations.skip_outgoingoperation",
        *(f"knox.{action}_authtoken" for action in ("view", "add", "delete")),
    ],
    Role.AUDITOR: [*_VIEW, "knox.view_authtoken"],
}


def grant_permissions(sender: AppConfig, **kwargs: object) -> None:
    grant(PERMISSIONS, [sender, apps.get_app_config("knox")])


def refuse_partners(
    sender: object, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: object
) -> None:
    """Refuses a role for a partner's authorized user: a user with a role is staff and sees all changes."""
    if action != "pre_add" or not pk_set:
        return
    groups = Group.objects.filter(pk=instance.pk) if reverse else Group.objects.filter(pk__in=pk_set)
    users = pk_set if reverse else {instance.pk}
    partner = ExternalSystem.objects.filter(authorized_user__in=users).select_related("authorized_user").first()
    if partner and groups.filter(name__in=Role.values).exists():
        name = partner.authorized_user.get_username()
        message = _("%(user)s is the authorized user of %(system)s: a partner's user holds no role.")
        raise ValidationError(message, params={"user": name, "system": partner})


def connect() -> None:
    m2m_changed.connect(
        refuse_partners, sender=get_user_model().groups.through, dispatch_uid="integrations.refuse_partners"
    )
    post_migrate.connect(
        grant_permissions, sender=apps.get_app_config("integrations"), dispatch_uid="integrations.grant_permissions"
    )
