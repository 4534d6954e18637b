"""The roles of staff with their permissions on change records.

Their permissions on the exchange are in integrations/setup/roles.py.
"""

from collections.abc import Iterable, Mapping

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db.models import Q

from changes.choices import Role
from changes.security_log.recording import unrecorded

_VIEW = [
    "changes.view_change",
    "changes.view_comment",
    "changes.view_attachment",
    "changes.view_approval",
    "changes.view_supportgroup",
]
_AGENT = [
    *_VIEW,
    "changes.add_change",
    "changes.change_change",
    "changes.add_comment",
    "changes.add_attachment",
]
PERMISSIONS: Mapping[Role, list[str]] = {
    Role.AGENT: _AGENT,
    Role.CHANGE_MANAGER: [
        *_AGENT,
        "changes.approve_change",
        "changes.abandon_change",
        "changes.add_approval",
        "changes.change_bulkjob",
    ],
    Role.INTEGRATION_ADMINISTRATOR: [
        *_VIEW,
        "changes.add_supportgroup",
        "changes.change_supportgroup",
        "auth.view_user",
        "changes.view_securityevent",
    ],
    Role.AUDITOR: [
        *_VIEW,
        "changes.view_historicalchange",
        "changes.view_securityevent",
        "auth.view_user",
        "auth.view_group",
    ],
}


def grant(permissions: Mapping[Role, Iterable[str]], app_configs: Iterable[AppConfig]) -> None:
    """Creates missing roles, and adds missing permissions to each. Permissions that an administrator added stay."""
    for app_config in app_configs:
        create_permissions(app_config, verbosity=0)
    for role, names in permissions.items():
        wanted = Q()
        for name in names:
            app_label, codename = name.split(".")
            wanted |= Q(content_type__app_label=app_label, codename=codename)
        with unrecorded():  # an upgrade, and its tables may not be there yet
            group, _ = Group.objects.get_or_create(name=role.value)
            group.permissions.add(*Permission.objects.filter(wanted))
