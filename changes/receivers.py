"""Receivers of Django's own signals: `migrate` creates the roles, and a user who gets a role becomes staff."""

from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models.signals import m2m_changed, post_migrate

from .choices import Role
from .security_log.recording import unrecorded
from .setup.roles import PERMISSIONS, grant


def grant_permissions(sender: AppConfig, **kwargs: object) -> None:
    grant(PERMISSIONS, [apps.get_app_config("auth"), sender])


def follow_roles(
    sender: object, instance: Any, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: object
) -> None:
    """Makes a user with a role staff, and one without a role not staff. A superuser without a role is left alone."""
    if action not in {"post_add", "post_remove", "post_clear"}:
        return
    if not reverse:
        users = [instance]
    elif pk_set:
        users = list(get_user_model().objects.filter(pk__in=pk_set))
    else:
        users = list(get_user_model().objects.filter(is_staff=True))
    for user in users:
        if isinstance(user, Group):
            continue
        is_staff = user.groups.filter(name__in=Role.values).exists() or (user.is_superuser and user.is_staff)
        if user.is_staff != is_staff:
            user.is_staff = is_staff
            with unrecorded():  # it follows from the role, which is recorded
                user.save(update_fields=["is_staff"])


def connect() -> None:
    post_migrate.connect(
        grant_permissions, sender=apps.get_app_config("changes"), dispatch_uid="changes.grant_permissions"
    )
    m2m_changed.connect(follow_roles, sender=get_user_model().groups.through, dispatch_uid="changes.follow_roles")
