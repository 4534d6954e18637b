"""Records tokens, partners' accounts, systems and external groups in the security log, whoever saves them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.utils import timezone
from knox.models import AuthToken

from changes.actor import current, current_request
from changes.security_log.recording import Caller, Subject, record
from changes.security_log.watching import Changed, Watch
from integrations.models import ExternalGroup, ExternalSystem, PartnerAccount
from integrations.tokens.naming import token_name

# --- Tokens. Their primary key is a digest of the secret, and is kept nowhere ---


def _record_token(kind: str, token: AuthToken, **more: object) -> None:
    record(kind, Subject.of(token.user), {"name": token_name(token), **more})


def token_made(token: AuthToken) -> None:
    _record_token("token_made", token, fields={"expiry": [None, _minute(token.expiry)]} if token.expiry else {})


def token_changed(token: AuthToken, changed: Changed) -> None:
    fields: dict[str, object] = {}
    if "expiry" in changed:
        fields["expiry"] = [*map(_minute, changed["expiry"])]
    if "user_id" in changed:
        fields["user"] = [_username(key) for key in changed["user_id"]]
    _record_token("token_changed", token, fields=fields)


def _minute(moment: datetime | None) -> str | None:
    return moment.isoformat(" ", "minutes") if moment else None


def token_deleted(token: AuthToken) -> None:
    """A call with an expired token removes it."""
    is_over = token.expiry is not None and token.expiry <= timezone.now()
    is_by_nobody = current_request() is not None and current().user is None
    _record_token("token_expired" if is_over and is_by_nobody else "token_revoked", token)


def caller_of(auth: Any) -> Caller:
    """Names `request.auth` of an API call: a token, or the caller of a view for partners."""
    if isinstance(auth, AuthToken):
        return Caller(token_name(auth))
    if auth is None:
        return Caller()
    return Caller(auth.token, ", ".join(system.system_id for system in auth.systems))


# --- Partners' accounts ---


def partner_made(account: PartnerAccount) -> None:
    record("partner_account_made", Subject.of(account.user))


def partner_unmade(account: PartnerAccount) -> None:
    record("partner_account_unmade", Subject.of(account.user))


# --- Systems ---

SYSTEM_FIELDS = (
    "system_id",
    "description",
    "authorized_user_id",
    "delivery",
    "endpoint_url",
    "signing_secret",
    "previous_signing_secret",
    "max_in_flight",
    "rate_limit",
    "enabled",
    "sends_markdown",
    "change_types",
    "settable_fields",
    "transitions",
    "relays_for",
    "smax",
    "paused_at",
)


def system_created(system: ExternalSystem) -> None:
    told = {"endpoint_url": _address(system.endpoint_url), "enabled": system.enabled}
    record("system_created", Subject.of(system), {"fields": {name: [None, value] for name, value in told.items()}})
    record("authorized_user_set", Subject.of(system), {"user": system.authorized_user.get_username()})


def system_changed(system: ExternalSystem, changed: Changed) -> None:
    about, left = Subject.of(system), dict(changed)
    if "enabled" in left:
        record("system_enabled" if left.pop("enabled")[1] else "system_disabled", about)
    if "paused_at" in left:
        paused = left.pop("paused_at")[1]
        record("system_paused" if paused else "system_resumed", about, {"status": system.pause_status})
    if "authorized_user_id" in left:
        old, new = map(_username, left.pop("authorized_user_id"))
        record("authorized_user_set", about, {"user": new, "fields": {"authorized_user": [old, new]}})
    if "endpoint_url" in left:
        left["endpoint_url"] = (_address(left["endpoint_url"][0]), _address(left["endpoint_url"][1]))
    if left:
        record("system_changed", about, {"fields": SYSTEMS.told(left)})


def system_deleted(system: ExternalSystem) -> None:
    record("system_deleted", Subject.of(system))


def _address(url: str) -> str:
    """The address without its query, which may contain a key."""
    parts = urlsplit(url)
    return f"{parts._replace(query='', fragment='').geturl()}{'?…' if parts.query else ''}"


def _username(key: int) -> str:
    user = get_user_model().objects.filter(pk=key).first()
    return user.get_username() if user else ""


# --- External groups ---


def group_made_external(external: ExternalGroup) -> None:
    record("group_made_external", Subject.of(external.group), {"system": external.system.system_id})


def group_changed(external: ExternalGroup, changed: Changed) -> None:
    old = ExternalSystem.objects.filter(pk=changed["system_id"][0]).first() if "system_id" in changed else None
    fields = {"system": [old.system_id if old else "", external.system.system_id]}
    record("group_made_external", Subject.of(external.group), {"system": external.system.system_id, "fields": fields})


def group_made_internal(external: ExternalGroup) -> None:
    record("group_made_internal", Subject.of(external.group), {"system": external.system.system_id})


SYSTEMS = Watch(
    ExternalSystem,
    SYSTEM_FIELDS,
    system_created,
    system_changed,
    system_deleted,
    secrets=("signing_secret", "previous_signing_secret"),
)
WATCHED = (
    SYSTEMS,
    Watch(AuthToken, ("expiry", "user_id"), token_made, token_changed, token_deleted),
    Watch(PartnerAccount, created=partner_made, deleted=partner_unmade),
    Watch(ExternalGroup, ("system_id", "group_id"), group_made_external, group_changed, group_made_internal),
)


def connect() -> None:
    for watch in WATCHED:
        watch.connect()
