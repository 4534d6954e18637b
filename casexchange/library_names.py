"""What the administration calls the records of libraries that have no name for them, or only an English one."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from changes.texts.moments import to_the_minute

NAMES = {
    "knox.AuthToken": (_("API token"), _("API tokens")),
    "mfa.Authenticator": (_("second factor"), _("second factors")),
    "usersessions.UserSession": (_("browser session"), _("browser sessions")),
}
FIELDS = {"knox.AuthToken": {"user": _("user"), "created": _("created"), "expiry": _("expires")}}
SIGN_INS = ("axes.AccessAttempt", "axes.AccessFailureLog", "axes.AccessLog")
# The permissions that Django gives every model. The database keeps names of permissions in English.
ACTIONS = {"add": _("Can add"), "change": _("Can change"), "delete": _("Can delete"), "view": _("Can view")}
gettext_noop("Can approve or deny a change's plan")
gettext_noop("Can abandon a change")
gettext_noop("Can retry an operation now")
gettext_noop("Can skip an operation with a reason")


def name_records() -> None:
    for label, names in NAMES.items():
        # Migrations do not look at these attributes, so the libraries need none.
        options: Any = apps.get_model(label)._meta
        options.verbose_name, options.verbose_name_plural = names
    for label, fields in FIELDS.items():
        for name, verbose_name in fields.items():
            field: Any = apps.get_model(label)._meta.get_field(name)
            field.verbose_name = verbose_name
    for label in SIGN_INS:
        apps.get_model(label).add_to_class("__str__", _sign_in)
    Permission.add_to_class("__str__", _permission)


def _sign_in(record: Any) -> str:
    return f"{record.username}, {to_the_minute(record.attempt_time)}"


def _permission(permission: Permission) -> str:
    action, _of, model = permission.codename.partition("_")
    is_of_every_model = action in ACTIONS and model == permission.content_type.model
    name = ACTIONS[action] if is_of_every_model else gettext(permission.name)
    return f"{permission.content_type} | {name}"
