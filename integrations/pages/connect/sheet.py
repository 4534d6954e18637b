"""What a partner's administrator must enter on their side, for each way of delivery. Contains no secret."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _
from knox.models import AuthToken

from integrations.choices import Delivery, Operation
from integrations.connections.evaluation.connection import Connection
from integrations.connections.revisions import active_connection, inbox_address
from integrations.models import ExternalSystem
from integrations.smax.registration import Registration

from . import examples

# Known to its own machine only, so no partner can call it.
LOCAL_NAMES = frozenset({"localhost", "0.0.0.0"})  # noqa: S104 - compared with, not bound to  # nosec


@dataclass(frozen=True)
class Entry:
    """One value to copy. `note`: what it is for, or what to observe.

    `is_secret`: the value is shown only on demand, or not at all: then it is "". `variable`: its name in `lines()`.
    """

    label: str
    value: str = field(repr=False)
    note: str = ""
    is_secret: bool = False
    variable: str = ""


@dataclass(frozen=True)
class Missing:
    """What is still to be done here before the partner can begin. `address`: the page where it is done."""

    text: str
    address: str = ""
    link: str = ""


@dataclass(frozen=True)
class Fresh:
    """The secrets that were made for a new partner, "" for one that it does not need. Shown once, and kept nowhere."""

    token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


NOTHING_FRESH = Fresh()


@dataclass(frozen=True)
class Sheet:
    """`entries`: what to enter. `calls`: the calls that the partner makes or gets. `snippets`: examples to run."""

    intro: str
    entries: list[Entry]
    calls: list[Entry]
    snippets: list[examples.Snippet]
    missing: list[Missing] = field(default_factory=list)

    @property
    def has_secrets(self) -> bool:
        """Whether it has the value of a secret, which is shown once."""
        return any(entry.is_secret and entry.value for entry in self.entries)

    @property
    def lines(self) -> str:
        """All values as variables of a shell, for the partner's side. Without the secrets that are not known."""
        known = [entry for entry in self.entries if entry.variable and entry.value]
        return "\n".join(f"export {entry.variable}={shlex.quote(entry.value)}" for entry in known)


def sheet_of(system: ExternalSystem, fresh: Fresh = NOTHING_FRESH) -> Sheet:
    """The sheet of one system, which was loaded with its `authorized_user`. `fresh`: what was made for it just now."""
    sheets: dict[str, Callable[[ExternalSystem, str, Fresh], Sheet]] = {
        Delivery.PUSH: _push,
        Delivery.PULL: _pull,
        Delivery.SMAX: _smax,
        Delivery.MAPPED: _mapped,
    }
    return sheets[system.delivery](system, settings.BASE_URL, fresh)


# --- We call the partner ---


def _push(system: ExternalSystem, base: str, fresh: Fresh) -> Sheet:
    intro = _(
        "We call %(system)s: each operation is one POST to its endpoint. "
        "For its own operations %(system)s calls our API."
    )
    entries = [
        _system_id(system, _("Stands in each operation as system_id, in both directions.")),
        Entry(_("Its endpoint"), system.endpoint_url, _("It must be reachable from this server, without a redirect.")),
        Entry(
            _("Signing secret"),
            fresh.signing_secret,
            _("Shown once, when it was generated. With it %(system)s checks that an operation is ours.")
            % {"system": system},
            is_secret=True,
            variable="SIGNING_SECRET",
        ),
        Entry(
            "User-Agent",
            f"casexchange/{settings.VERSION}",
            _("Names us in each call. This server does not know the address it calls from."),
        ),
        *_own_calls(system, base, fresh),
    ]
    calls = [
        Entry(
            _("Each operation, by POST"),
            system.endpoint_url,
            _(
                "Answer 2xx once you have it, with external_id, external_url and external_status as JSON. An operation "
                "that comes again has the same id: answer it as the first time."
            ),
        ),
        Entry(
            _("Its signature"),
            "",
            _(
                "In the headers webhook-id, webhook-timestamp and webhook-signature, as the specification Standard "
                "Webhooks says: HMAC-SHA256 of id, time and body. Answer 401 if it is wrong."
            ),
        ),
        _operations(base),
    ]
    missing = [] if system.signing_secret else [_no_secret(system)]
    return Sheet(
        intro % {"system": system},
        entries,
        calls,
        [examples.who_am_i(base), examples.an_update(base, system.system_id)],
        [*missing, *_missing(system), *_no_token(system)],
    )


def _no_secret(system: ExternalSystem) -> Missing:
    return Missing(
        _("No signing secret is set: operations are sent unsigned."), _form_of(system), _("Generate one in its form")
    )


# --- The partner calls us ---


def _pull(system: ExternalSystem, base: str, fresh: Fresh) -> Sheet:
    intro = _("%(system)s calls us: it asks for what waits, and acknowledges what it has. We never call it.")
    outbox = f"{base}/api/v1/outbox/"
    entries = [_system_id(system, _("Stands in each operation as system_id.")), *_own_calls(system, base, fresh)]
    calls = [
        Entry(
            _("Ask for operations, by GET"),
            f"{outbox}?wait=30",
            _("Answers as soon as something waits, at the latest after 30 seconds. Ask again with after=<cursor>."),
        ),
        Entry(
            _("Acknowledge one, by POST"),
            f"{outbox}<id>/acknowledge/",
            _(
                "With external_id, external_url, external_status, all optional; or with refused and the reason. What "
                "is not acknowledged within %(seconds)s seconds is handed out again, with the same id."
            )
            % {"seconds": f"{settings.DELIVERY_LEASE:g}"},
        ),
        _operations(base),
    ]
    snippets = [examples.ask(base), examples.acknowledge(base), examples.an_update(base, system.system_id)]
    return Sheet(intro % {"system": system}, entries, calls, snippets, [*_missing(system), *_no_token(system)])


def _smax(system: ExternalSystem, base: str, fresh: Fresh) -> Sheet:
    intro = _(
        "The adapter that %(system)s runs against SMAX works here with another address, tenant and account. "
        "It polls; we never call it."
    )
    account, tenant = system.authorized_user, settings.SMAX_TENANTS[0]
    types = Registration.of(system).entity_types
    rest = f"{base}/rest/{tenant}"
    entries = [
        Entry(_("Address"), base, _("Instead of the address of SMAX, without a path."), variable="SMAX_URL"),
        Entry(_("Tenant"), tenant, _also(settings.SMAX_TENANTS[1:]), variable="TENANT"),
        Entry(_("Account"), account.get_username(), variable="LOGIN"),
        Entry(
            _("Password"),
            fresh.password,
            _("It opens these calls only, and no page.")
            if fresh.password
            else _("Set in the form of %(system)s, and not shown. It opens these calls only, and no page.")
            % {"system": system},
            is_secret=True,
            variable="PASSWORD",
        ),
        Entry(
            "SystemId",
            system.system_id,
            _("As system in the feed, and as ExternalSystem of each entity."),
            variable="SYSTEM_ID",
        ),
        Entry(_("Entity types"), ", ".join(types), _("Another one is refused. The form of the system lists them.")),
    ]
    feed = f"{rest}/ces?layout=Id,DisplayLabel&type={types[0]}&system={quote(system.system_id)}&time=0"
    calls = [
        Entry(
            _("Sign in, by POST"),
            f"{base}/auth/authentication-endpoint/authenticate/login?TENANTID={tenant}",
            _("Answers the token alone, for the cookie LWSSO_COOKIE_KEY or as Bearer."),
        ),
        Entry(_("Poll the feed, by GET"), feed, _("The next time is the Date of the last answer, in milliseconds.")),
        Entry(_("Write, by POST"), f"{rest}/ces", _("Create, Update, Assign, Reject, Cancel.")),
        Entry(_("Read a record, by GET"), f"{rest}/ems/{types[0]}/<Id>?layout=FULL_LAYOUT"),
    ]
    missing = [] if account.has_usable_password() else [_no_password(system)]
    snippets = [examples.password(), examples.sign_in(base, tenant, account.get_username()), examples.poll(feed)]
    return Sheet(intro % {"system": system}, entries, calls, snippets, [*missing, *_missing(system)])


def _also(tenants: list[str]) -> str:
    if not tenants:
        return _("In the path of each call.")
    return _("In the path of each call. These are taken too: %(tenants)s.") % {"tenants": ", ".join(tenants)}


def _no_password(system: ExternalSystem) -> Missing:
    text = _("%(user)s has no password, so the adapter cannot sign in.") % {"user": system.authorized_user}
    return Missing(text, _form_of(system), _("Set one in the form of the system"))


# --- By a document ---


def _mapped(system: ExternalSystem, base: str, fresh: Fresh) -> Sheet:
    intro = _("We call the API of %(system)s, as the document of its connection says.") % {"system": system}
    entries = [
        Entry(
            "User-Agent",
            f"casexchange/{settings.VERSION}",
            _("Names us in each call. This server does not know the address it calls from."),
        )
    ]
    calls = []
    if inbox := inbox_address(system):
        calls.append(Entry(_("Its webhooks, by POST"), inbox, _("As the key inbox of the document says.")))
    if fresh.token:
        entries.append(_own_calls(system, base, fresh)[-1])
    connection = active_connection(system)
    if connection is None:
        return Sheet(intro, entries, calls, [], _missing(system))
    note = _("A secret of the document, as it was entered here. %(system)s may need the same.") % {"system": system}
    entries += [Entry(name, "", note) for name in sorted(connection.secret_names)]
    return Sheet(intro, entries, calls, [], [*_missing(system), *_unsent(system, connection)])


def _unsent(system: ExternalSystem, connection: Connection) -> list[Missing]:
    without = connection.without_steps(Operation.values)
    if not without:
        return []
    text = _("Its document has no steps for %(operations)s: %(system)s does not hear of it.")
    values = {"operations": ", ".join(without), "system": system}
    address = reverse("exchange:connection", args=[system.system_id])
    return [Missing(text % values, address, _("The document"))]


# --- For each way ---


def _operations(base: str) -> Entry:
    said = _("Create, Update, Assign, Reject, Cancel.")
    return Entry(_("Your operations, by POST"), f"{base}/api/v1/operations/", said)


def _system_id(system: ExternalSystem, note: str) -> Entry:
    return Entry(_("System id"), system.system_id, note, variable="SYSTEM_ID")


def _own_calls(system: ExternalSystem, base: str, fresh: Fresh) -> list[Entry]:
    token = _("Shown once, when it is made. Sent in each call as: Authorization: Bearer <token>")
    return [
        Entry(_("Our address"), base, _("The calls of our API are below /api/v1/."), variable="DESK"),
        Entry(_("Token"), fresh.token, token, is_secret=True, variable="TOKEN"),
    ]


def _missing(system: ExternalSystem) -> list[Missing]:
    found = []
    if not system.enabled:
        text = _("%(system)s is disabled: its calls are refused, and operations for it wait.") % {"system": system}
        address = reverse("admin:integrations_externalsystem_start", args=[system.pk])
        found.append(Missing(text, address, _("Enable it")))
    if not system.external_groups.exists():
        text = _("No support group belongs to %(system)s, so no change can be given to it.") % {"system": system}
        found.append(Missing(text, reverse("admin:changes_supportgroup_changelist"), _("The support groups")))
    if _is_local(settings.BASE_URL):
        text = _("%(address)s can be reached from this machine only. An operator sets BASE_URL.")
        found.append(Missing(text % {"address": settings.BASE_URL}))
    return found


def _no_token(system: ExternalSystem) -> list[Missing]:
    if AuthToken.objects.filter(user=system.authorized_user_id).exists():
        return []
    text = _("%(user)s has no API token, so %(system)s cannot call us.")
    values = {"user": system.authorized_user, "system": system}
    address = f"{reverse('admin:knox_authtoken_add')}?user={system.authorized_user_id}"
    return [Missing(text % values, address, _("Make a token"))]


def _is_local(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL_NAMES


def _form_of(system: ExternalSystem) -> str:
    return reverse("admin:integrations_externalsystem_change", args=[system.pk])
