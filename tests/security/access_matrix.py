"""Who may what: the rights, and for each address the right that a call needs. test_access.py makes all these calls.

A new address needs a row in `ROWS`, a new list of the administration one in `ADMIN`. `python -m
tests.security.access_matrix` prints the table of docs/security.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

STAFF = ("agent", "manager", "integrator", "auditor", "superuser")
# Signed in on the pages, or with a token: `nobody` has no role; `partner` is ACME's account, `other` BETA's.
PEOPLE = (*STAFF, "nobody", "partner", "other")
HEADS = {
    "agent": "Service desk agent",
    "manager": "Change manager",
    "integrator": "Integration administrator",
    "auditor": "Auditor",
    "superuser": "Superuser",
    "partner": "Partner",
}


EXPORTED = ("history", "approvals", "comments", "references", "operations")


@dataclass(frozen=True)
class Right:
    """What may be done, and by whom. `text` is its row in the documentation; `of_partners` what its last cell says."""

    text: str
    who: frozenset[str]
    of_partners: str = ""


def _right(text: str, *who: str, of_partners: str = "") -> Right:
    return Right(text, frozenset(who), of_partners)


OPEN = _right(
    "sign in, ask for a new password, read the description of the API, ask whether all is well (without signing in)",
    *PEOPLE,
)
OWN_ACCOUNT = _right("one's own password, second factor and sessions", *PEOPLE)
SEE = _right("see all changes, operations, systems and groups", *STAFF)
SEE_VIA_API = _right(
    "read changes, public comments, files and approvals with a token", *STAFF, "partner", of_partners="its own changes"
)
LIST_VIA_API = _right("list changes with a token", *STAFF, "partner", "other", of_partners="its own changes")
OWN_SETTINGS = _right("one's own preferences, saved filters and bulk jobs", *STAFF)
WRITE = _right("create and edit changes, move them to another phase, comment", "agent", "manager", "superuser")
ATTACH = _right("attach files", "agent", "manager", "superuser")
ATTACH_VIA_API = _right(
    "attach files with a token", "agent", "manager", "superuser", "partner", of_partners="to its own changes"
)
DECIDE = _right("approve or deny a plan, abandon a change", "manager", "superuser")
OVERSEE = _right("see and stop a running bulk job of somebody else", "manager", "superuser")
EXCHANGE = _right("send operations", "partner", of_partners="for its own system, as its registration allows")
COLLECT = _right(
    "collect and acknowledge operations with a token", "partner", of_partners="for its own systems that pull"
)
ADAPTER = _right(
    "read and write by the SMAX face, signed in with a password",
    "partner",
    of_partners="for its own system, as its registration allows",
)
ADAPTER_LISTS = _right(
    "look up groups, list changes, upload files by the SMAX face",
    "partner",
    "other",
    of_partners="its own changes",
)
CONFIGURE = _right(
    "systems and their groups: add, edit, delete, enable, test; the circuit breaker", "integrator", "superuser"
)
CONNECT = _right(
    "connect a partner: its system, a partner's account, its groups, secret and token", "integrator", "superuser"
)
GROUPS = _right("support groups: add, edit, give them an external system", "integrator", "superuser")
RETRY = _right("retry and skip operations", "integrator", "superuser")
ACKNOWLEDGE = _right("acknowledge what needs attention", "agent", "manager", "integrator", "superuser")
SEE_TOKENS = _right("see tokens", "integrator", "auditor", "superuser")
TOKENS = _right("tokens of partners and of oneself: make; all tokens: revoke", "integrator", "superuser")
SEE_USERS = _right("see users", "integrator", "auditor", "superuser")
SEE_ROLES = _right("see roles", "auditor", "superuser")
SECURITY_LOG = _right("read and export the security log", "integrator", "auditor", "superuser")
PEOPLE_AND_ROLES = _right("users, passwords, roles, tokens of other staff; sign-in attempts and locks", "superuser")
NOBODY = _right("delete changes, operations, users; alter what was sent, received or decided")

# What belongs to one person, and does not exist for anybody else. In the test to the agent.
_MINE = _right("", "agent")
_JOB = _right("", "agent", "manager", "superuser")

RIGHTS = [right for right in vars().copy().values() if isinstance(right, Right) and right.text]


@dataclass(frozen=True)
class Row:
    """One address, whose {names} test_access.py fills in, with the right that each method needs (None: no such method).

    `?what` at its end tells calls of one address apart, or is its query. With `data` a POST (or PATCH) by a holder of
    the right changes something, unless `only_shows`. `refused`: the status for staff without the right, or `nothing`
    where the answer may be an ordinary page but nothing happens. `other`: the status for another partner's token.
    `get_writes`: a page that notes that it was shown. `to_sign_in`: the answer leads there even if it is allowed.
    """

    address: str
    get: Right | None = None
    post: Right | None = None
    patch: Right | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    only_shows: bool = False
    get_writes: bool = False
    to_sign_in: bool = False
    refused: int | str = 403
    other: int | str = 403

    @property
    def methods(self) -> dict[str, Right]:
        named = {"get": self.get, "post": self.post, "patch": self.patch}
        return {method: right for method, right in named.items() if right is not None}

    @property
    def is_api(self) -> bool:
        """Whether programs call it, with a token."""
        return self.address.startswith("/api/") or self.is_of_adapters

    @property
    def is_of_adapters(self) -> bool:
        return self.address.startswith(("/auth/", "/rest/"))

    @property
    def path(self) -> str:
        path, _, query = self.address.partition("?")
        return self.address if "=" in query else path


_NEW = {"title": "New", "change_type": "Normal", "business_impact": "SingleUser", "urgency": "SlightDisruption"}
_ABANDON = {"completion_code": "Withdrawn", "version": "{version}"}
_BULK = {"scope": "ticked", "change": "{number}", "query": ""}
_CHANGE = "/changes/{number}/"
PAGES = [
    Row("/", SEE),
    Row("/preferences/", OWN_SETTINGS, OWN_SETTINGS, data={"language": "de", "keyboard_shortcuts": "on"}),
    Row("/keyboard/", SEE),
    Row("/calendar/", SEE),
    Row("/workflow/", SEE),
    Row("/security-log/", SECURITY_LOG),
    Row("/security-log/export.csv", SECURITY_LOG),
    Row("/changes/", SEE),
    Row("/changes/export.csv", SEE),
    *(Row(f"/changes/export/{table}.csv", SEE) for table in EXPORTED),
    Row("/changes/filters/", OWN_SETTINGS, OWN_SETTINGS, data={"name": "Mine", "query": "phase=Log"}),
    Row("/changes/new/", WRITE, WRITE, data=_NEW),
    Row("/changes/new/preview/", None, WRITE, data=_NEW, only_shows=True),
    Row(_CHANGE, SEE, get_writes=True),
    Row(_CHANGE + "history/{version}/", SEE),
    Row(_CHANGE + "export.csv", SEE),
    *(Row(f"{_CHANGE}export/{table}.csv", SEE) for table in EXPORTED),
    Row(_CHANGE + "edit/", WRITE, WRITE, data={**_NEW, "version": "{version}"}),
    Row(_CHANGE + "edit/preview/", None, WRITE, data={**_NEW, "version": "{version}"}, only_shows=True),
    Row(_CHANGE + "transition/", SEE, WRITE, data={"phase": "Plan", "version": "{version}"}),
    Row(_CHANGE + "transition/?abandon", None, DECIDE, data={"phase": "Abandon", "version": "{version}"}),
    Row(_CHANGE + "abandon/", DECIDE, DECIDE, data=_ABANDON),
    Row(_CHANGE + "approvals/", SEE, DECIDE, data={"decision": "Approved", "version": "{version}"}),
    Row(_CHANGE + "comments/", SEE, WRITE, data={"body": "Hello", "visibility": "private"}),
    Row(_CHANGE + "comments/{comment}/", SEE),
    Row(_CHANGE + "comments/preview/", None, WRITE, data={"body": "Hello"}, only_shows=True),
    Row(_CHANGE + "attachments/", SEE, ATTACH, data={"file": "{file}"}),
    Row(_CHANGE + "attachments/{attachment}/", SEE),
    Row(_CHANGE + "attachments/{attachment}/preview/", SEE),
    # One's own saved filter and job; everybody else's does not exist. These are the agent's.
    Row("/changes/filters/{filter}/delete/", None, _MINE, refused=404),
    Row("/changes/bulk/", OWN_SETTINGS),
    Row("/changes/bulk/comment/", WRITE, WRITE, data=_BULK, only_shows=True),
    Row(
        "/changes/bulk/comment/?scope=ticked&change={number}",
        None,
        WRITE,
        data={"preview": "1", "body": "Hi", "visibility": "private"},
    ),
    Row("/changes/bulk/abandon/", DECIDE, DECIDE, data=_BULK, only_shows=True),
    Row("/changes/bulk/approve/", DECIDE, DECIDE, data=_BULK, only_shows=True),
    Row("/changes/bulk/{running}/", _JOB, refused=404),
    Row("/changes/bulk/{running}/stop/", None, _JOB, refused=404),
    Row("/changes/bulk/{draft}/?draft", _MINE, refused=404),
    *(Row(f"/changes/bulk/{{draft}}/{do}/", None, _MINE, refused=404) for do in ("start", "again", "drop")),
]
_SYSTEM = "/exchange/status/{system_id}/"
_CONNECTION = "/exchange/systems/{mapped}/connection/"
_PARTNER = {"kind": "pull", "system_id": "NEW", "new_groups": "NEW desk"}
_DRAFT = {"document": "base_url: https://desk.example/api\nauth:\n  kind: none\n", "action": "save", "opened": "1/none"}
EXCHANGE_PAGES = [
    Row("/exchange/", SEE),
    Row("/exchange/log.csv", SEE),
    Row("/exchange/status/", SEE),
    Row("/exchange/retry/", RETRY, RETRY, data={"since": "2020-01-01T00:00", "until": "2999-01-01T00:00"}),
    Row(_SYSTEM + "open/", CONFIGURE, CONFIGURE, data={"reason": "Maintenance"}),
    Row("/exchange/status/{open_system}/close/", SEE, CONFIGURE),
    Row(_SYSTEM + "test/", CONFIGURE, CONFIGURE, data={"group": "{group}"}),
    Row(_SYSTEM + "test/{test}/", SEE),
    Row("/exchange/systems/new/", CONNECT, CONNECT, data=_PARTNER),
    Row("/exchange/systems/{system_id}/connect/", CONFIGURE),
    Row("/exchange/systems/{system_id}/ping/", CONFIGURE, CONFIGURE, only_shows=True),
    Row("/exchange/connections/reference/", SEE),
    Row(_CONNECTION, CONFIGURE, CONFIGURE, data=_DRAFT),
    Row(_CONNECTION + "?activate", None, CONFIGURE, data={**_DRAFT, "action": "activate", "reason": "It works"}),
    Row(_CONNECTION + "try/", CONFIGURE, CONFIGURE, only_shows=True),
    Row(_CONNECTION + "replay/", CONFIGURE),
    Row(_CONNECTION + "poll/", None, CONFIGURE),
    Row(_CONNECTION + "secrets/", None, CONFIGURE, data={"name": "API_KEY", "value": "another"}),
    Row(_CONNECTION + "revisions/1/", CONFIGURE, CONFIGURE, only_shows=True),
    Row("/exchange/attention/outgoing/{operation}/", SEE, ACKNOWLEDGE, data={"seen": "Refused-1"}),
    Row("/exchange/{operation}/", SEE),
    Row("/exchange/{operation}/payload.json", SEE),
    Row("/exchange/{operation}/retry/", SEE, RETRY),
    Row("/exchange/{operation}/skip/", RETRY, RETRY, data={"reason": "Not needed"}),
]
_WEBHOOK = {"ticket": "T-1", "text": "Hello"}
_API = "/api/v1/changes/{number}/"
_OPERATION = {"system_id": "{system_id}", "operation": "Update", "external_id": "C-1", "comments": [{"body": "Hello"}]}
API = [
    Row("/api/v1/operations/", None, EXCHANGE, data=_OPERATION),
    Row("/api/v1/inbox/{mapped}/", None, EXCHANGE, data=_WEBHOOK, refused=401, other=401),
    Row("/api/v1/outbox/", COLLECT, get_writes=True, other=409),
    Row("/api/v1/outbox/acknowledge/", None, COLLECT, data={"operations": [{"id": "{collected}"}]}, other="nothing"),
    Row("/api/v1/outbox/{collected}/acknowledge/", None, COLLECT, data={"external_id": "C-2"}, other=404),
    Row("/api/v1/changes/", LIST_VIA_API, WRITE, data={"title": "New"}),
    Row(_API, SEE_VIA_API, None, WRITE, data={"title": "Another"}, other=404),
    Row(_API + "transitions/", SEE_VIA_API, WRITE, data={"phase": "Plan"}, other=404),
    Row(_API + "transitions/?abandon", None, DECIDE, data={"phase": "Abandon"}),
    Row(_API + "approvals/", SEE_VIA_API, DECIDE, data={"decision": "Approved"}, other=404),
    Row(_API + "comments/", SEE_VIA_API, WRITE, data={"body": "Hello"}, other=404),
    Row(_API + "attachments/", SEE_VIA_API, ATTACH_VIA_API, data={"file": "{file}"}, other=404),
    Row("/api/v1/attachments/{attachment}/content/", SEE_VIA_API, other=404),
    Row("/api/v1/schema/", OPEN),
    Row("/api/v1/docs/", OPEN),
]
_REST = "/rest/default/"
_ENTITY = {"entity_type": "Change", "properties": {"Id": "{of_adapters}", "DisplayLabel": "Another"}}
_SENT = {**_ENTITY, "ext_properties": {"ExternalSystem": "ACME-SMAX", "Operation": "Update"}}
FACE = [
    Row(
        "/auth/authentication-endpoint/authenticate/login",
        None,
        OPEN,
        data={"login": "{adapter}", "password": "{password}"},
    ),
    Row(_REST + "ces?system=ACME-SMAX&time=0", ADAPTER, get_writes=True),
    Row(_REST + "ces", None, ADAPTER, data={"entities": [_SENT]}),
    Row(_REST + "ces/attachment", None, ADAPTER_LISTS, data={"files[]": "{file}"}),
    Row(_REST + "ces/attachment/{guid}", ADAPTER, other=404),
    Row(_REST + "ems/bulk", None, ADAPTER, data={"operation": "UPDATE", "entities": [_ENTITY]}, other="nothing"),
    Row(_REST + "ems/ExternalReference", ADAPTER_LISTS),
    Row(_REST + "ems/PersonGroup", ADAPTER_LISTS),
    Row(_REST + "ems/Person", ADAPTER_LISTS),
    Row(_REST + "ems/Location", ADAPTER_LISTS),
    Row(_REST + "ems/Change", ADAPTER_LISTS),
    Row(_REST + "ems/Change/{of_adapters}", ADAPTER, other=404),
    Row(_REST + "collaboration/comments/Change/{of_adapters}", ADAPTER, ADAPTER, data={"Body": "Hello"}, other=404),
    Row(_REST + "collaboration/comments/Change/{of_adapters}/comments", ADAPTER, other=404),
    Row(_REST + "frs/file-list", None, ADAPTER_LISTS, data={"files[]": "{file}"}),
    Row(_REST + "frs/file-list/{guid}", ADAPTER, other=404),
    Row(_REST + "personalization/person/me", ADAPTER_LISTS),
]
_SECURITY = "/accounts/security/"
ACCOUNTS = [
    Row("/accounts/login/", OPEN, OPEN, only_shows=True),
    Row("/accounts/logout/", None, OPEN, only_shows=True),
    Row("/accounts/inactive/", OPEN),
    Row("/accounts/password/reset/", OPEN, OPEN, data={"email": "alice@example.com"}, only_shows=True),
    Row("/accounts/password/reset/sent/", OPEN),
    Row("/accounts/password/reset/1-set-password/", OPEN, OPEN, only_shows=True),
    Row("/accounts/password/reset/done/", OPEN),
    Row("/accounts/oidc/cancelled/", OPEN),
    Row(_SECURITY + "webauthn/", OPEN),
    Row("/accounts/confirm/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row("/accounts/confirm/provider/done/", OWN_ACCOUNT),
    Row(
        "/accounts/password/",
        OWN_ACCOUNT,
        OWN_ACCOUNT,
        data={"oldpassword": "{password}", "password1": "a new long password", "password2": "a new long password"},
    ),
    Row("/accounts/sessions/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row(_SECURITY, OWN_ACCOUNT),
    Row(_SECURITY + "reauthenticate/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row(_SECURITY + "totp/activate/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row(_SECURITY + "recovery-codes/generate/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row(_SECURITY + "webauthn/add/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True),
    Row(_SECURITY + "webauthn/reauthenticate/", OWN_ACCOUNT, OWN_ACCOUNT, only_shows=True, to_sign_in=True),
    # Only one's own: these are the agent's.
    Row(_SECURITY + "totp/deactivate/", _MINE, _MINE, refused=404),
    Row(_SECURITY + "recovery-codes/", _MINE, refused=404, get_writes=True),  # they are shown once
    Row(_SECURITY + "recovery-codes/download/", _MINE, refused=404, get_writes=True),
    Row(_SECURITY + "webauthn/keys/{key}/edit/", _MINE, _MINE, data={"name": "Blue"}, refused=404),
    Row(_SECURITY + "webauthn/keys/{key}/remove/", _MINE, _MINE, refused=404),
    # The second step of a sign-in, for whoever is at it: see test_second_factor.py.
    Row(_SECURITY + "authenticate/", OPEN, OPEN, only_shows=True),
    # Without an OpenID provider these do not exist: see test_oidc.py.
    Row("/accounts/oidc/error/", NOBODY, refused=401),
    Row("/accounts/oidc/staff/login/", NOBODY, NOBODY, refused=404),
    Row("/accounts/oidc/staff/login/callback/", NOBODY, refused=404),
    Row("/accounts/confirm/provider/", NOBODY, refused=404),
]
# For each list of the administration: the rights to see, add, edit and delete its records.
ADMIN = {
    "changes/change": (SEE, WRITE, WRITE, NOBODY),
    "changes/supportgroup": (SEE, GROUPS, GROUPS, PEOPLE_AND_ROLES),
    "integrations/externalsystem": (SEE, CONFIGURE, CONFIGURE, CONFIGURE),
    "integrations/externalreference": (SEE, NOBODY, NOBODY, NOBODY),
    "integrations/exchange": (SEE, NOBODY, NOBODY, NOBODY),
    "integrations/outgoingoperation": (SEE, NOBODY, NOBODY, NOBODY),
    "integrations/incomingoperation": (SEE, NOBODY, NOBODY, NOBODY),
    "auth/user": (SEE_USERS, PEOPLE_AND_ROLES, PEOPLE_AND_ROLES, NOBODY),
    "auth/group": (SEE_ROLES, PEOPLE_AND_ROLES, PEOPLE_AND_ROLES, NOBODY),
    "knox/authtoken": (SEE_TOKENS, TOKENS, NOBODY, NOBODY),
    "axes/accessattempt": (PEOPLE_AND_ROLES, NOBODY, NOBODY, PEOPLE_AND_ROLES),
    "axes/accesslog": (PEOPLE_AND_ROLES, NOBODY, NOBODY, NOBODY),
    "axes/accessfailurelog": (PEOPLE_AND_ROLES, NOBODY, NOBODY, NOBODY),
}
_REVOKE = {"action": "revoke", "_selected_action": "{knox/authtoken}", "confirmed": "yes"}
_PASSWORDS = {"password1": "a new long password", "password2": "a new long password", "usable_password": "true"}


def _of_admin() -> Iterator[Row]:
    index = "/admin/"
    yield Row(index, SEE)
    yield Row(index + "login/", SEE, SEE, only_shows=True)
    yield Row(index + "logout/", None, OPEN, only_shows=True)
    yield Row(index + "password_change/", SEE)
    yield Row(index + "password_change/done/", SEE)
    yield Row(index + "jsi18n/", OPEN)
    # No form of the administration asks for these two.
    yield Row(index + "autocomplete/", NOBODY)
    yield Row(index + "r/{content_type}/{changes/change}/", NOBODY, refused=404)
    yield Row(index + "nothing/", NOBODY, refused=404)
    for app in ("changes", "integrations"):
        yield Row(f"{index}{app}/", SEE)
    for app, right in (("auth", SEE_USERS), ("knox", SEE_TOKENS), ("axes", PEOPLE_AND_ROLES)):
        yield Row(f"{index}{app}/", right, refused=404)
    for kind, (sees, adds, edits, deletes) in ADMIN.items():
        record = f"{index}{kind}/{{{kind}}}/"
        yield Row(f"{index}{kind}/", sees, sees, only_shows=True)
        yield Row(f"{index}{kind}/add/", adds, adds, only_shows=True)
        yield Row(f"{record}change/", sees, edits, only_shows=True)
        yield Row(f"{record}history/", sees)
        yield Row(f"{record}delete/", deletes, deletes, data={"post": "yes"}, only_shows=True)
        yield Row(record, SEE)  # leads to the page of the record
    yield Row(index + "integrations/externalsystem/{disabled}/start/", CONFIGURE, CONFIGURE, data={"decision": "send"})
    yield Row(index + "auth/user/{auth/user}/password/", PEOPLE_AND_ROLES, PEOPLE_AND_ROLES, data=_PASSWORDS)
    yield Row(index + "knox/authtoken/?revoke", None, TOKENS, data=_REVOKE, refused="nothing")


# For monitoring. Without METRICS_TOKEN there are no figures: see tests/integrations/watch/.
WATCH = [
    Row("/healthz", OPEN),
    Row("/readyz?checks=database,migrations", OPEN),
    Row("/metrics", NOBODY, refused=404),
]
ROWS = [*WATCH, *PAGES, *EXCHANGE_PAGES, *API, *FACE, *ACCOUNTS, *_of_admin()]
# Served outside of the addresses of Django.
STATIC = "/static/changes/app.css"


def table() -> str:
    """The rights as the table of docs/security.md."""
    lines = [f"| | {' | '.join(HEADS.values())} |", f"|---|{'---|' * len(HEADS)}"]
    for right in RIGHTS:
        cells = ["yes" if person in right.who else "" for person in HEADS]
        cells[-1] = cells[-1] and (right.of_partners or "yes")
        lines.append(f"| {right.text} |" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
