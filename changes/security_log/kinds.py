"""The kinds of security events, each with its label and its sentence.

Another app adds its own kinds through its `Extension`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Topic(TextChoices):
    """A group of kinds, for the filter of the page."""

    SIGN_IN = "sign-in", _("Signing in")
    REFUSAL = "refusal", _("Refusals")
    ACCOUNT = "account", _("Accounts and roles")
    TOKEN = "token", _("API tokens")
    PARTNER = "partner", _("Partners' systems and groups")
    OPERATION = "operation", _("Retries and skips")
    LOG = "log", _("This log")


@dataclass(frozen=True)
class EventKind:
    """`name` is stored and never changes. `sentence` says what happened, with these placeholders:

    `%(actor)s`, `%(object)s`, `%(address)s`, and the names of the values in the event's details. `is_mailed`: the other
    administrators are told by mail.
    """

    name: str
    topic: Topic
    label: StrOrPromise
    sentence: StrOrPromise
    is_mailed: bool = False


KINDS: dict[str, EventKind] = {}


def register(kinds: Iterable[EventKind]) -> None:
    """Makes these kinds known. Raises ValueError for a name that is taken."""
    for kind in kinds:
        if KINDS.setdefault(kind.name, kind) is not kind:
            raise ValueError(f"There are two kinds of security events named {kind.name}.")


register(
    [
        # --- Signing in ---
        EventKind("signed_in", Topic.SIGN_IN, _("Signed in"), _("%(actor)s signed in.")),
        EventKind(
            "signed_in_by_provider",
            Topic.SIGN_IN,
            _("Signed in, OpenID Connect"),
            _("%(actor)s signed in by %(provider)s."),
        ),
        EventKind("signed_out", Topic.SIGN_IN, _("Signed out"), _("%(actor)s signed out.")),
        EventKind(
            "sign_in_refused",
            Topic.SIGN_IN,
            _("Sign-in refused"),
            _("Refused sign-in for %(object)s from %(address)s."),
        ),
        EventKind(
            "provider_refused",
            Topic.SIGN_IN,
            _("Sign-in refused, OpenID Connect"),
            _("Refused sign-in by %(provider)s from %(address)s."),
        ),
        EventKind(
            "locked",
            Topic.SIGN_IN,
            _("Account or address locked"),
            _("Locked after too many wrong attempts: sign-in for %(object)s from %(address)s."),
        ),
        EventKind("unlocked", Topic.SIGN_IN, _("Unlocked"), _("%(actor)s unlocked %(object)s.")),
        EventKind(
            "sessions_ended",
            Topic.SIGN_IN,
            _("Sessions ended"),
            _("%(actor)s ended sessions of %(object)s: %(count)s."),
        ),
        EventKind(
            "password_changed",
            Topic.SIGN_IN,
            _("Password changed"),
            _("%(actor)s changed the password of %(object)s."),
        ),
        EventKind(
            "password_reset",
            Topic.SIGN_IN,
            _("Password reset by mail"),
            _("The password of %(object)s was reset by mail, from %(address)s."),
        ),
        EventKind(
            "second_factor_added",
            Topic.SIGN_IN,
            _("Second factor added"),
            _("%(actor)s added a second factor for %(object)s: %(factor)s."),
        ),
        EventKind(
            "second_factor_removed",
            Topic.SIGN_IN,
            _("Second factor removed"),
            _("%(actor)s removed a second factor of %(object)s: %(factor)s."),
        ),
        EventKind(
            "provider_linked",
            Topic.SIGN_IN,
            _("OpenID Connect linked"),
            _("%(actor)s linked %(object)s with an account of the OpenID provider."),
        ),
        EventKind(
            "provider_unlinked",
            Topic.SIGN_IN,
            _("OpenID Connect unlinked"),
            _("%(actor)s unlinked %(object)s from an account of the OpenID provider."),
        ),
        # --- Refusals ---
        EventKind("refused", Topic.REFUSAL, _("Not allowed"), _("%(actor)s was refused: %(object)s.")),
        EventKind(
            "token_refused",
            Topic.REFUSAL,
            _("Invalid token"),
            _("Refused a call with a token that is not valid from %(address)s: %(object)s."),
        ),
        EventKind(
            "refusals_not_listed",
            Topic.REFUSAL,
            _("More refusals than are listed"),
            _("More was refused within a minute than is listed one by one."),
        ),
        # --- Accounts and roles ---
        EventKind(
            "account_created",
            Topic.ACCOUNT,
            _("Account created"),
            _("%(actor)s created the account %(object)s."),
        ),
        EventKind(
            "account_changed",
            Topic.ACCOUNT,
            _("Account changed"),
            _("%(actor)s changed the account %(object)s."),
        ),
        EventKind(
            "account_deleted",
            Topic.ACCOUNT,
            _("Account deleted"),
            _("%(actor)s deleted the account %(object)s."),
        ),
        EventKind(
            "account_activated",
            Topic.ACCOUNT,
            _("Account activated"),
            _("%(actor)s activated the account %(object)s."),
        ),
        EventKind(
            "account_deactivated",
            Topic.ACCOUNT,
            _("Account deactivated"),
            _("%(actor)s deactivated the account %(object)s."),
        ),
        EventKind(
            "superuser_given",
            Topic.ACCOUNT,
            _("Superuser rights given"),
            _("%(actor)s made %(object)s a superuser."),
        ),
        EventKind(
            "superuser_taken",
            Topic.ACCOUNT,
            _("Superuser rights taken"),
            _("%(actor)s took superuser rights from %(object)s."),
        ),
        EventKind(
            "role_given",
            Topic.ACCOUNT,
            _("Role given"),
            _("%(actor)s gave the role %(role)s to %(object)s."),
        ),
        EventKind(
            "role_taken",
            Topic.ACCOUNT,
            _("Role taken"),
            _("%(actor)s took the role %(role)s from %(object)s."),
        ),
        EventKind("role_created", Topic.ACCOUNT, _("Role created"), _("%(actor)s created the role %(object)s.")),
        EventKind("role_changed", Topic.ACCOUNT, _("Role changed"), _("%(actor)s changed the role %(object)s.")),
        EventKind("role_deleted", Topic.ACCOUNT, _("Role deleted"), _("%(actor)s deleted the role %(object)s.")),
        EventKind(
            "permissions_given",
            Topic.ACCOUNT,
            _("Permissions given"),
            _("%(actor)s gave permissions to %(object)s: %(permissions)s."),
        ),
        EventKind(
            "permissions_taken",
            Topic.ACCOUNT,
            _("Permissions taken"),
            _("%(actor)s took permissions from %(object)s: %(permissions)s."),
        ),
        # --- This log ---
        EventKind(
            "log_exported",
            Topic.LOG,
            pgettext_lazy("security log", "Exported"),
            _("%(actor)s exported this log."),
        ),
    ]
)
