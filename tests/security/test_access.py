"""Every address is called by everybody with every method, and answers as access_matrix.py says.

What is refused writes nothing at all: the statements of the call are read, so nothing can hide in a table that nobody
thought of.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.urls import URLResolver, get_resolver, resolve
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from changes.bulk import drafts
from changes.bulk.change_kinds import CHANGE_KINDS
from changes.calls import CALLS
from changes.choices import Phase, Role
from changes.models import Attachment, BulkJob, Change, Comment, SavedFilter
from integrations.models import ExternalReference, ExternalSystem, IncomingOperation
from integrations.outgoing import outbox
from integrations.pages.test_operation import sending
from integrations.smax import accounts
from tests.factories import PASSWORD, ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, UserFactory, change_in
from tests.mapped import mapped_system
from tests.pages import Browser, web

from .access_matrix import OPEN, ROWS, STAFF, STATIC, Row, table
from .people import made_up_key

ROLES = {
    "agent": Role.AGENT,
    "manager": Role.CHANGE_MANAGER,
    "integrator": Role.INTEGRATION_ADMINISTRATOR,
    "auditor": Role.AUDITOR,
}
SESSIONS = (*STAFF, "nobody", "partner")
TOKENS = (*STAFF, "nobody", "partner", "other")
# The callers of each test, by its name. Those with tokens share one, since they make few calls.
ACTORS = {
    "anonymous": ["anonymous"],
    **{f"{name} on pages": [f"{name} on pages"] for name in SESSIONS},
    "tokens": [f"{name} by token" for name in TOKENS],
    "adapters": ["partner by adapter", "other by adapter"],
}
SIGN_IN = ("/accounts/login/", "/admin/login/")
WRITTEN = re.compile(r'\b(?:INSERT (?:OR IGNORE )?INTO|(?<!FOR )(?<!KEY )(?<!DO )UPDATE|DELETE FROM)\s+"?(\w+)')
# Written whether or not a call is allowed: sessions, counts, the security log, and that of incoming operations.
ALWAYS = re.compile(
    r"django_session|usersessions_\w+|axes_\w+|\w+_ratecounter|\w+_tokenlife"
    r"|\w+_connectioninbox|\w+_(pending|security)event|\w+_securitymail|\w+_incomingoperation"
)


# --- The table is whole ---


def _routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route)
        else:
            yield route.replace("^", "")


def test_every_address_has_a_row(world):
    named = {resolve(_path(row, world).partition("?")[0]).route.replace("^", "") for row in ROWS}
    # Any other address below these is answered with 404.
    routes = {*_routes(get_resolver())} - {"api/v1/", "(?:auth|rest)/"}
    missing = sorted(routes - named)
    assert not missing, f"Say who may call these, by a row in tests/security/access_matrix.py each: {missing}"


def test_the_documentation_has_the_same_table():
    text = Path("docs/security.md").read_text()
    assert table() in text, "python -m tests.security.access_matrix prints the table for docs/security.md"


# --- The calls ---


@pytest.fixture
def world(acme, beta) -> dict[str, Any]:
    """A record for each {name} in the addresses, and the credentials of everybody: `people`."""
    people = {name: UserFactory(username=name, roles=[role]) for name, role in ROLES.items()}
    people |= {"superuser": UserFactory(username="superuser", is_staff=True, is_superuser=True)}
    people |= {"nobody": UserFactory(username="nobody"), "partner": acme.authorized_user, "other": beta.authorized_user}
    group = acme.external_groups.get().group
    change = change_in(
        Phase.APPROVE_PLAN, owning_group=group, completion_code="Withdrawn", requested_by=UserFactory(username="bob")
    )
    return {
        "people": people,
        "number": change.number,
        "version": change.version,
        "system_id": "ACME",
        "group": group.pk,
        "password": PASSWORD,
        "open_system": _open(beta),
        "content_type": ContentType.objects.get_for_model(Change).pk,
        "collected": _collected(acme),
        "mapped": _mapped(acme),
        "adapter": acme.authorized_user.get_username(),
        **_of_adapters(acme, beta, people["agent"]),
        **_of_change(change, acme, people["agent"]),
        **_of_agent(change, people["agent"]),
        **_of_administration(change, acme, people),
    }


def _open(system: ExternalSystem) -> str:
    outbox.open_breaker(system, "Maintenance")
    return system.system_id


def _mapped(acme: ExternalSystem) -> str:
    """A system with a connection of ACME's account, which holds a change."""
    system = mapped_system("ACME-3", "ACME Tickets", acme.authorized_user)
    change = ChangeFactory(owning_group=system.external_groups.get().group)
    ExternalReference.objects.create(change=change, system=system, external_id="T-1")
    return system.system_id


def _collected(acme: ExternalSystem) -> UUID:
    """An operation that the partner has collected, for another system of its account."""
    pulls = ExternalSystemFactory(system_id="ACME-2", authorized_user=acme.authorized_user, delivery="pull")
    ChangeFactory(owning_group=ExternalGroupFactory(system=pulls).group)
    (operation,) = outbox.hand_out(pulls, None, 1).operations
    return operation.pk


def _of_adapters(acme: ExternalSystem, beta: ExternalSystem, agent: User) -> dict[str, Any]:
    """Gives each partner's account a system with an SMAX adapter. ACME's reaches a change with a file."""
    for partner in (acme, beta):
        name = f"{partner.system_id}-SMAX"
        ExternalSystemFactory(system_id=name, authorized_user=partner.authorized_user, delivery="smax")
    change = ChangeFactory()
    own = ExternalSystem.objects.get(system_id="ACME-SMAX")
    ExternalReference.objects.create(change=change, system=own, external_id="S-1")
    file = Attachment(change=change, author=agent, file=ContentFile(b"x", name="x"), file_name="x.txt")
    file.save()
    return {"of_adapters": change.pk, "guid": UUID(int=file.pk)}


def _of_change(change: Change, acme: ExternalSystem, agent: User) -> dict[str, Any]:
    comment = Comment(change=change, author=agent, body="Hello", visibility="private")
    comment.save()
    file = ContentFile(b"\x89PNG\r\n\x1a\n", name="x.png")
    attachment = Attachment(change=change, author=agent, file=file, file_name="x.png", content_type="image/png")
    attachment.save()
    reference = ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
    came = IncomingOperation.objects.create(
        system=acme, user=acme.authorized_user, operation="Update", status="Applied", http_status=200, payload={}
    )
    operation = change.outgoing_operations.order_by("sequence").first()
    # So it needs attention.
    change.outgoing_operations.filter(pk=operation.pk).update(status="Refused", claim=1)
    return {
        "comment": comment.pk,
        "attachment": attachment.pk,
        "operation": operation.pk,
        "test": sending.send(acme, acme.external_groups.get().group, agent).number,
        "changes/change": change.pk,
        "integrations/externalreference": reference.pk,
        "integrations/exchange": change.exchanges.get().pk,
        "integrations/outgoingoperation": operation.pk,
        "integrations/incomingoperation": came.pk,
    }


def _of_agent(change: Change, agent: User) -> dict[str, Any]:
    """What belongs to the agent alone."""
    kind = next(kind for kind in CHANGE_KINDS if kind.name == "comment")
    parameters = {"body": "Hi", "visibility": "private"}
    jobs = [drafts.draft(kind, agent, parameters, kind.targets([change], parameters, agent)) for _ in range(2)]
    BulkJob.objects.filter(pk=jobs[0].pk).update(confirmed_at=timezone.now())
    key = WebAuthn.add(agent, "Red", made_up_key()).instance
    TOTP.activate(agent, generate_totp_secret())
    RecoveryCodes.activate(agent)
    saved = SavedFilter.objects.create(user=agent, name="Of the agent", query="")
    return {"running": jobs[0].pk, "draft": jobs[1].pk, "key": key.pk, "filter": saved.pk}


def _of_administration(change: Change, acme: ExternalSystem, people: dict[str, User]) -> dict[str, Any]:
    sign_in = {"username": "x", "ip_address": "203.0.113.1", "user_agent": "x", "http_accept": "x", "path_info": "/"}
    return {
        "changes/supportgroup": acme.external_groups.get().group_id,
        "integrations/externalsystem": acme.pk,
        "disabled": ExternalSystemFactory(system_id="GAMMA", enabled=False).pk,
        "auth/user": people["nobody"].pk,
        "auth/group": Group.objects.get(name=Role.AUDITOR.value).pk,
        "knox/authtoken": AuthToken.objects.create(acme.authorized_user)[0].pk,
        "axes/accessattempt": AccessAttempt.objects.create(failures_since_start=1, **sign_in).pk,
        "axes/accesslog": AccessLog.objects.create(**sign_in).pk,
        "axes/accessfailurelog": AccessFailureLog.objects.create(**sign_in).pk,
    }


def _filled(value: Any, world: dict[str, Any]) -> Any:
    """`value` with its {names} filled in. A file is new for each call."""
    if value == "{file}":
        return io.BytesIO(b"content of the file")
    if isinstance(value, str):
        return re.sub(r"{([^}]+)}", lambda match: str(world[match[1]]), value)
    if isinstance(value, dict):
        return {key: _filled(each, world) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, world) for each in value]
    return value


def _path(row: Row, world: dict[str, Any]) -> str:
    return _filled(row.path, world)


class Caller:
    """A caller such as `agent on pages`, who makes each call with the same session or token."""

    def __init__(self, actor: str, people: dict[str, User]) -> None:
        self.person, _, how = actor.partition(" ")
        self.is_session, self.is_token, self.is_adapter = how == "on pages", how == "by token", how == "by adapter"
        self.cookies, self.token = SimpleCookie(), ""
        if self.is_session:
            self.cookies = web(people[self.person]).cookies
        elif self.is_token:
            self.token = AuthToken.objects.create(people[self.person])[1]
        elif self.is_adapter:
            self.token = accounts.new_token(people[self.person])

    def call(self, method: str, path: str, data: Any) -> Any:
        is_api = path.startswith(CALLS)
        client: Any = APIClient() if is_api else Browser()
        client.raise_request_exception = False
        client.cookies = SimpleCookie(self.cookies.output(header="", sep=";"))
        headers = {"HTTP_AUTHORIZATION": f"Bearer {self.token}"} if self.token else {}
        if method == "get":
            return client.get(path, **headers)
        if is_api:
            is_file = any(hasattr(each, "read") for each in data.values())
            return getattr(client, method)(path, data, format="multipart" if is_file else "json", **headers)
        return getattr(client, method)(path, data, **headers)


@contextmanager
def _undone() -> Iterator[list[str]]:
    """Undoes what happens inside. Yields the tables that it writes."""
    tables: list[str] = []

    def watch(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        tables.extend(name for name in WRITTEN.findall(str(sql)) if not ALWAYS.fullmatch(name))
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(watch):
        yield tables
        transaction.set_rollback(True)


def _expected(row: Row, method: str, caller: Caller) -> int | str:
    """`yes`, `nothing` (nothing is written, whatever is shown), `sign in`, or the status of the refusal."""
    right, area = row.methods[method], row.path.split("/")[1]
    if right == OPEN:
        return "yes"
    if area == "metrics":  # knows no people: without METRICS_TOKEN it is not there
        return row.refused
    if area == "rest":
        return ("yes" if caller.person in right.who else row.other) if caller.is_adapter else 401
    if area == "api":
        if not caller.is_token:
            return 401
        if caller.person in right.who:
            return "yes"
        # For another partner the change does not exist. What no partner may do, it may not either.
        return row.other if caller.person == "other" and "partner" in right.who else row.refused
    if not caller.is_session:
        return row.refused if row.path.startswith("/accounts/oidc/") else "sign in"
    if caller.person in right.who:
        return "yes"
    if caller.person not in STAFF and area == "admin":
        return 403 if row.path == "/admin/login/" else "sign in"
    return row.refused if caller.person in STAFF or area == "accounts" else 403


def _answered(response: Any) -> int | str:
    if response.status_code < 400:
        to_sign_in = urlsplit(response.get("Location", "")).path in SIGN_IN
        return "sign in" if to_sign_in else "yes"
    return response.status_code


def _wrong(row: Row, method: str, caller: Caller, world: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the answer to one call."""
    with _undone() as tables:
        response = caller.call(method, _path(row, world), _filled(dict(row.data), world))
    expected, answered = _expected(row, method, caller), _answered(response)
    accepted = {"yes", 403} if expected == "nothing" else {expected}
    if expected == "yes" and (row.to_sign_in or row.methods[method] == OPEN):
        accepted.add("sign in")  # such as signing out
    if answered not in accepted:
        yield f"answers {response.status_code} ({answered}), expected: {expected}"
    if tables and (expected != "yes" or (method == "get" and not row.get_writes)):
        yield f"writes {sorted({*tables})}"
    if expected == "yes" and not (method == "get" or row.only_shows or tables):
        yield f"writes nothing, although it is allowed: {response.status_code}"


@pytest.mark.parametrize("actors", ACTORS.values(), ids=ACTORS)
def test_everybody_gets_the_answers_of_the_table(world, actors):
    wrong = [each for actor in actors for each in _all_wrong(actor, world)]
    assert not wrong, "\n".join(wrong)


def _all_wrong(actor: str, world: dict[str, Any]) -> Iterator[str]:
    caller = Caller(actor, world["people"])
    # No token opens a page: tried with the mightiest one.
    rows = [row for row in ROWS if row.is_api or not caller.token or caller.person == "superuser"]
    for row in rows:
        for method in row.methods:
            for each in _wrong(row, method, caller, world):
                yield f"{actor}: {method.upper()} {row.address} {each}"


def test_a_form_that_another_site_posts_changes_nothing(world):
    """With the session of the mightiest, and without our token (CSRF). The API knows no session, so it answers 401."""
    caller = Caller("superuser on pages", world["people"])
    wrong = []
    for row in ROWS:
        for method in {*row.methods} - {"get"} if not (row.is_of_adapters and OPEN in row.methods.values()) else ():
            client: Any = Browser(enforce_csrf_checks=True)
            client.cookies = SimpleCookie(caller.cookies.output(header="", sep=";"))
            with _undone() as tables:
                response = getattr(client, method)(_path(row, world), _filled(dict(row.data), world))
            if tables or response.status_code != (401 if row.is_api else 403):
                wrong.append(f"{method.upper()} {row.address} answers {response.status_code}, writes {tables}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("is_api", [False, True])
def test_a_method_that_has_no_row_changes_nothing(world, is_api):
    caller = Caller("superuser by token" if is_api else "superuser on pages", world["people"])
    rows: dict[str, set[str]] = {}
    for row in ROWS:
        if row.is_api == is_api:
            rows.setdefault(row.path, set()).update(row.methods)
    wrong = []
    for path, methods in rows.items():
        # To a page all methods that it has not are alike.
        known = ("get", "post", "put", "patch", "delete") if is_api else ("get", "post", "delete")
        for method in {*known} - methods:
            with _undone() as tables:
                response = caller.call(method, _filled(path, world), {})
            if tables or response.status_code >= 500:
                wrong.append(f"{method.upper()} {path} answers {response.status_code}, writes {tables}")
    assert not wrong, "\n".join(wrong)


def test_static_files_are_for_everybody(client):
    assert client.get(STATIC).status_code == 200
    assert client.get("/static/../settings.py").status_code == 404
    assert settings.WHITENOISE_ALLOW_ALL_ORIGINS is False
