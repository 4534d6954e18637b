"""Records signing in, accounts and roles: the receivers of the signals of Django, django-axes and the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from axes.models import AccessAttempt
from axes.signals import user_locked_out
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import identify_hasher
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.db.models.signals import m2m_changed
from django.http import HttpRequest

from changes.actor import Actor, current, current_request

from .recording import Subject, record, refuse
from .watching import Changed, Watch

# --- Signing in ---


def _account(name: object) -> Subject:
    """The account that somebody who is not signed in named. Of an unknown name nothing is kept.

    People type their password into the field of the name by mistake.
    """
    user = get_user_model().objects.filter(username=str(name).replace("\x00", "")).first() if name else None
    return Subject.of(user) if user else Subject("auth.user", "", "")


def signed_in(sender: object, user: User, request: HttpRequest, **kwargs: object) -> None:
    proofs = {str(given.get("method")) for given in get_authentication_records(request, user)}
    details: dict[str, object] = {"proofs": sorted(proofs)} if proofs else {}
    if "socialaccount" in proofs:
        details["provider"] = settings.OIDC_NAME
    kind = "signed_in_by_provider" if "socialaccount" in proofs else "signed_in"
    record(kind, Subject.of(user), details, Actor(user))


def signed_out(sender: object, user: User | None, **kwargs: object) -> None:
    if user is not None:
        record("signed_out", Subject.of(user), actor=Actor(user))


def sign_in_failed(
    sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: object
) -> None:
    """A wrong password, code or key. During a lock `locked_out()` is called instead, for what then is no try at all."""
    if request is None or not getattr(request, "axes_locked_out", False):
        refuse("sign_in_refused", _account(credentials.get("username")), is_repeated=False)


def locked_out(sender: object, username: str | None, **kwargs: object) -> None:
    """The account or the address is locked: by this failure, or already."""
    refuse("locked", _account(username))


def unlocked(attempt: AccessAttempt) -> None:
    """Somebody deleted the count of failures. A correct sign-in deletes it too, and so does time."""
    request = current_request()
    if request is None or (request.resolver_match and request.resolver_match.app_name == "admin"):
        record("unlocked", _account(attempt.username), {"failures": attempt.failures_since_start})


def factor_added(factor: Authenticator) -> None:
    record("second_factor_added", Subject.of(factor.user), {"factor": Authenticator.Type(factor.type).label})


def factor_removed(factor: Authenticator) -> None:
    record("second_factor_removed", Subject.of(factor.user), {"factor": Authenticator.Type(factor.type).label})


def linked(account: SocialAccount) -> None:
    record("provider_linked", Subject.of(account.user), {"subject": account.uid})


def unlinked(account: SocialAccount) -> None:
    record("provider_unlinked", Subject.of(account.user), {"subject": account.uid})


# --- Accounts ---

_SWITCHES = {
    "is_active": ("account_deactivated", "account_activated"),
    "is_superuser": ("superuser_taken", "superuser_given"),
}


def account_created(user: User) -> None:
    unusual = {"is_superuser": user.is_superuser, "is_staff": user.is_staff, "is_active": not user.is_active}
    fields = {name: [None, getattr(user, name)] for name, is_unusual in unusual.items() if is_unusual}
    record("account_created", Subject.of(user), {"fields": fields})


def account_changed(user: User, changed: Changed) -> None:
    about, changed = Subject.of(user), dict(changed)
    for name, kinds in _SWITCHES.items():
        if name in changed:
            record(kinds[bool(changed.pop(name)[1])], about)
    if "password" in changed and not _is_hashed_anew(user, changed.pop("password")[0]):
        request = current_request()
        is_by_mail = request is not None and current().user is None
        record("password_reset" if is_by_mail else "password_changed", about)
    if changed:
        record("account_changed", about, {"fields": USERS.told(changed)})


def _is_hashed_anew(user: User, old: str) -> bool:
    """Whether only the hash of the same password is new: a sign-in replaces an outdated hash."""
    try:
        return getattr(user, "_password", None) is None and identify_hasher(old).must_update(old)
    except ValueError:  # there was no usable password
        return False


def account_deleted(user: User) -> None:
    record("account_deleted", Subject.of(user))


def role_created(role: Group) -> None:
    record("role_created", Subject.of(role))


def role_changed(role: Group, changed: Changed) -> None:
    record("role_changed", Subject.of(role), {"fields": ROLES.told(changed)})


def role_deleted(role: Group) -> None:
    record("role_deleted", Subject.of(role))


USERS = Watch(
    get_user_model(),
    ("username", "first_name", "last_name", "email", "is_staff", "is_active", "is_superuser", "password"),
    account_created,
    account_changed,
    account_deleted,
)
ROLES = Watch(Group, ("name",), role_created, role_changed, role_deleted)
WATCHED = (
    USERS,
    ROLES,
    Watch(Authenticator, created=factor_added, deleted=factor_removed),
    Watch(SocialAccount, created=linked, deleted=unlinked),
    Watch(AccessAttempt, deleted=unlocked),
)


# --- Roles and permissions ---

_CLEARED = "_security_log_cleared"
Tell = Callable[[bool, Any, list[Any]], None]


def _related(
    tell: Tell, holder: type[Model], given: type[Model], accessor: str, reverse_accessor: str
) -> Callable[..., None]:
    """A receiver that calls `tell(is_given, holder, [given, ...])` for each holder of a many-to-many relation."""

    def receive(
        sender: object, instance: Model, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: object
    ) -> None:
        if action == "pre_clear":
            manager = getattr(instance, reverse_accessor if reverse else accessor)
            setattr(instance, _CLEARED, list(manager.all()))
            return
        if action == "post_clear":
            others = instance.__dict__.pop(_CLEARED, [])
        elif action in {"post_add", "post_remove"} and pk_set:
            others = list((holder if reverse else given)._default_manager.filter(pk__in=pk_set).order_by("pk"))
        else:
            return
        is_given = action == "post_add"
        if not reverse and others:
            tell(is_given, instance, others)
        for other in others if reverse else ():
            tell(is_given, other, [instance])

    return receive


def _tell_roles(is_given: bool, user: User, roles: list[Group]) -> None:
    for role in roles:
        record("role_given" if is_given else "role_taken", Subject.of(user), {"role": role.name})


def _tell_permissions(is_given: bool, holder: Model, permissions: list[Permission]) -> None:
    """`holder`: a role or a user."""
    named = sorted(
        f"{app}.{codename}"
        for app, codename in Permission.objects.filter(pk__in=[each.pk for each in permissions]).values_list(
            "content_type__app_label", "codename"
        )
    )
    record("permissions_given" if is_given else "permissions_taken", Subject.of(holder), {"permissions": named})


def connect() -> None:
    for watch in WATCHED:
        watch.connect()
    user_logged_in.connect(signed_in, dispatch_uid="security_log.signed_in")
    user_logged_out.connect(signed_out, dispatch_uid="security_log.signed_out")
    user_login_failed.connect(sign_in_failed, dispatch_uid="security_log.sign_in_failed")
    user_locked_out.connect(locked_out, dispatch_uid="security_log.locked_out")
    user = get_user_model()
    for through, receiver in (
        (user.groups.through, _related(_tell_roles, user, Group, "groups", "user_set")),
        (
            user.user_permissions.through,
            _related(_tell_permissions, user, Permission, "user_permissions", "user_set"),
        ),
        (Group.permissions.through, _related(_tell_permissions, Group, Permission, "permissions", "group_set")),
    ):
        uid = f"security_log.{through._meta.label_lower}"
        m2m_changed.connect(receiver, sender=through, weak=False, dispatch_uid=uid)
