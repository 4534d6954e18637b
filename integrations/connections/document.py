"""The document of a connection: one YAML text becomes a Connection, or the list of everything that is wrong with it."""

from __future__ import annotations

import yaml

from .auth import Auth, Credentials, Joined, Named
from .checks import Scope
from .connection import Connection
from .faults import Fault, FaultyDocument
from .reading import ANSWER, EXPECTATION_KEYS, MOST_STEPS, REQUEST_KEYS, Reader, constants
from .shapes import (
    PAUSE_ON,
    BodyTemplate,
    Expectation,
    Inbox,
    OperationTemplate,
    Poll,
    Read,
    RequestTemplate,
    Step,
    Verification,
)
from .source import Section, Source, TooLarge
from .templates import Engine, Value

__all__ = ["MOST_STEPS", "Fault", "FaultyDocument", "connection_of", "faults_of"]

OPERATIONS = ("Assign", "Accept", "Cancel", "Update")
KEYS = ("base_url", "auth", "ca", "pause_on", "tables", "outgoing", "poll", "inbox", "read")
REFERENCE = frozenset({"external_id", "external_url", "external_status"})
EVERYWHERE = frozenset({"system", "now"})
OUTGOING = Scope(REFERENCE | EVERYWHERE | {"operation", "change", "changed_fields", "comment", "attachment", "origin"})
AUTH = Scope(frozenset({"secret"}))
LIST = Scope(EVERYWHERE | {"cursor", "page"})
ITEM = Scope(EVERYWHERE | {"item"})
INBOX = Scope(EVERYWHERE | {"body", "headers"})
READ = Scope(REFERENCE | EVERYWHERE)


def connection_of(text: str) -> Connection:
    """The connection that this document describes. Raises FaultyDocument with every fault."""
    source = Source(text)
    connection = None
    try:
        root = source.root()
        if root is not None:
            connection = _connection(source, root)
    except TooLarge:  # its fault is in the source
        connection = None
    if source.faults or connection is None:
        raise FaultyDocument(source.faults)
    return connection


def faults_of(text: str) -> list[Fault]:
    """Everything that is wrong with this document, in the order of its lines."""
    try:
        connection_of(text)
    except FaultyDocument as error:
        return error.faults
    return []


def _connection(source: Source, root: yaml.Node) -> Connection:
    section = Section(source, root, "", KEYS)
    tables = {
        name: constants(source, entry.value, f"tables.{name}", source.entries(entry.value, f"tables.{name}"))
        for name, entry in section.mapping("tables").items()
    }
    pause_on = section.statuses("pause_on")
    reader = Reader(source, Engine(tables), PAUSE_ON if pause_on is None else pause_on)
    section.needs("base_url")
    base_url = reader.url(section, "base_url")
    return Connection(
        base_url=base_url,
        auth=_auth(reader, section, base_url),
        engine=reader.engine,
        ca=reader.one(section, "ca", AUTH),
        pause_on=reader.pause_on,
        outgoing=_outgoing(reader, section),
        poll=_poll(reader, section) if "poll" in section else None,
        inbox=_inbox(reader, section) if "inbox" in section else None,
        read=_read(reader, section) if "read" in section else None,
        secret_names=frozenset(reader.secrets),
    )


def _outgoing(reader: Reader, section: Section) -> dict[str, tuple[Step, ...]]:
    if "outgoing" not in section:
        return {}
    outgoing = Section(reader.source, section.node("outgoing"), "outgoing", OPERATIONS)
    return {
        name: reader.steps(entry.value, f"outgoing.{name}", OUTGOING, with_result=True)
        for name, entry in outgoing.entries.items()
        if name in OPERATIONS
    }


# --- auth ---

_AUTH_KEYS = {
    "none": (),
    "basic": ("username", "password"),
    "bearer": ("token",),
    "header": ("name", "value"),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "login": ("request", "token", "send"),
    "certificate": ("certificate", "key"),
}
_MORE_AUTH_KEYS = {"oauth2": ("scope",)}


def _auth(reader: Reader, whole: Section, base_url: str) -> Auth:
    if "auth" not in whole:
        return Auth(base_url=base_url)
    node = whole.node("auth")
    named = Section(Source(""), node, "auth", []).text("kind") if isinstance(node, yaml.MappingNode) else ""
    known = ("kind", *_AUTH_KEYS.get(named, ()), *_MORE_AUTH_KEYS.get(named, ()))
    if named not in _AUTH_KEYS:
        known = ("kind", *{key for keys in (*_AUTH_KEYS.values(), *_MORE_AUTH_KEYS.values()) for key in keys})
    section = Section(reader.source, node, "auth", known)
    section.needs("kind")
    kind = section.choice("kind", [*_AUTH_KEYS])
    if not kind or not section.needs(*_AUTH_KEYS[kind]):
        return Auth(base_url=base_url)

    def joined(key: str, *before: str) -> Joined:
        return Joined(section.at(key), (*before, reader.one(section, key, AUTH)))

    if kind == "basic":
        pair = Credentials(joined("username"), joined("password"))
        return Auth(kind, base_url, {"Authorization": Joined("auth", ("Basic ", pair))})
    if kind == "bearer":
        return Auth(kind, base_url, {"Authorization": joined("token", "Bearer ")})
    if kind == "header":
        return Auth(kind, base_url, {section.text("name"): joined("value")})
    if kind == "certificate":
        return Auth(kind, base_url, files=(joined("certificate"), joined("key")))
    if kind == "oauth2":
        return _oauth2(reader, section, Credentials(joined("client_id"), joined("client_secret"), True))
    return _login(reader, section, base_url) if kind == "login" else Auth(base_url=base_url)


def _oauth2(reader: Reader, section: Section, credentials: Credentials) -> Auth:
    url = reader.url(section, "token_url")
    form = {"grant_type": "client_credentials", "scope": reader.one(section, "scope", AUTH)}
    headers = {"Authorization": Joined("auth", ("Basic ", credentials)), "Accept": "application/json"}
    request = RequestTemplate("auth.", "POST", url, headers=headers, body=BodyTemplate("form", form))
    return Auth("oauth2", url, {"Authorization": Joined("auth", ("Bearer ", Named("token")))}, request)


def _login(reader: Reader, section: Section, base_url: str) -> Auth:
    called = Section(reader.source, section.node("request"), "auth.request", REQUEST_KEYS)
    request = reader.request(called, Scope(frozenset()))
    token = reader.one(section, "token", Scope(frozenset(ANSWER)))
    send = Section(reader.source, section.node("send"), "auth.send", ("header", "cookie", "prefix"))
    place = send.one_of(("header", "cookie"), "place of the token")
    name = send.text(place) if place else ""
    before = f"{name}=" if place == "cookie" else send.text("prefix")
    header = "Cookie" if place == "cookie" else name
    parts = (before, Named("token")) if before else (Named("token"),)
    return Auth("login", base_url, {header: Joined("auth", parts)}, request, token)


# --- poll, inbox and read ---


def _poll(reader: Reader, whole: Section) -> Poll:
    keys = ("every", "list", "cursor", "overlap", "external_id", "read", "entries", "skip_if", "operation")
    section = Section(reader.source, whole.node("poll"), "poll", keys)
    section.needs("every", "list", "cursor", "external_id", "operation")
    request = items = page_size = None
    expectation = Expectation()
    if "list" in section:
        listed = Section(
            reader.source, section.node("list"), "poll.list", (*REQUEST_KEYS, *EXPECTATION_KEYS, "items", "page_size")
        )
        listed.needs("items")
        request, expectation = reader.request(listed, LIST), reader.expectation(listed, LIST)
        items = reader.one(listed, "items", LIST.also(*ANSWER))
        page_size = listed.number("page_size", 1, 10_000)
    read: tuple[Step, ...] = ()
    scope = ITEM.also("cursor", "known")
    if "read" in section:
        read = reader.steps(section.node("read"), "poll.read", scope, with_result=False)
    scope = scope.also("steps").after([step.name for step in read])
    entry = scope.also("entry", "external_id")
    return Poll(
        every=section.number("every", 10, 7 * 86_400) or 60,
        request=request or RequestTemplate("poll.list.", "GET", "/"),
        expectation=expectation,
        items=items,
        cursor=reader.one(section, "cursor", ITEM),
        external_id=reader.one(section, "external_id", scope),
        page_size=page_size,
        overlap=section.number("overlap", 0, 86_400),
        read=read,
        entries=reader.one(section, "entries", scope),
        skip_if=reader.condition(section, "skip_if", entry, False),
        operation=_operation(reader, section, "operation", entry) or OperationTemplate("poll.operation", {}),
    )


def _operation(reader: Reader, section: Section, key: str, scope: Scope) -> OperationTemplate | None:
    if key not in section:
        return None
    return _operation_at(reader, section.node(key), section.at(key), scope, ())


# The body of POST /api/v1/operations/, without `system_id`, which is the system's own.
OPERATION_KEYS = (
    "operation",
    "external_id",
    "external_url",
    "external_status",
    "change_number",
    "properties",
    "comments",
    "attachments",
    "origin",
)


def _operation_at(reader: Reader, node: yaml.Node, path: str, scope: Scope, more: tuple[str, ...]) -> OperationTemplate:
    section = Section(reader.source, node, path, ("key", *more, *OPERATION_KEYS))
    section.needs("operation")
    body: dict[str, Value] = {}
    for name in section.entries:
        if name in OPERATION_KEYS:
            body[name] = reader.value(section.node(name), section.at(name), scope)
    when = reader.condition(section, "when", scope, True)
    return OperationTemplate(path, body, reader.one(section, "key", scope), when)


def _inbox(reader: Reader, whole: Section) -> Inbox:
    section = Section(reader.source, whole.node("inbox"), "inbox", ("verify", "operations"))
    section.needs("verify", "operations")
    verify = _verification(reader, section) if "verify" in section else Verification("token")
    nodes = reader.source.items(section.node("operations"), "inbox.operations") if "operations" in section else []
    return Inbox(
        verify,
        tuple(
            _operation_at(reader, node, f"inbox.operations[{place}]", INBOX, ("when",))
            for place, node in enumerate(nodes)
        ),
    )


_VERIFY_KEYS = {
    "token": (("in_query",), ()),
    "basic": ((), ("username", "password")),
    "standard_webhooks": ((), ("secret",)),
    "hmac": (("algorithm", "encoding", "prefix"), ("header", "secret")),
}


def _verification(reader: Reader, whole: Section) -> Verification:
    node = whole.node("verify")
    if not isinstance(node, yaml.MappingNode):
        node = yaml.MappingNode(
            "tag:yaml.org,2002:map",
            [(yaml.ScalarNode("tag:yaml.org,2002:str", "kind", node.start_mark, node.end_mark), node)],
            node.start_mark,
            node.end_mark,
        )
    keys = ("kind", "in_query", "username", "password", "secret", "header", "algorithm", "encoding", "prefix")
    section = Section(reader.source, node, "inbox.verify", keys)
    section.needs("kind")
    kind = section.choice("kind", [*_VERIFY_KEYS])
    if not kind:
        return Verification("token")
    optional, needed = _VERIFY_KEYS[kind]
    section.needs(*needed)
    for key in section.entries:
        if key in keys and key not in ("kind", *optional, *needed):
            section.fault(key, f"{kind} has no {key}.")
    secret = section.text("secret")
    if secret:
        reader.secrets.add(secret)
    return Verification(
        kind=kind,
        in_query=section.flag("in_query", False),
        username=reader.one(section, "username", AUTH),
        password=reader.one(section, "password", AUTH),
        secret=secret,
        header=section.text("header"),
        algorithm=section.choice("algorithm", ["sha1", "sha256", "sha512"], "sha256"),
        encoding=section.choice("encoding", ["hex", "base64"], "hex"),
        prefix=section.text("prefix"),
    )


def _read(reader: Reader, whole: Section) -> Read:
    section = Section(reader.source, whole.node("read"), "read", ("steps", "status", "gone"))
    section.needs("steps", "status")
    steps = reader.steps(section.node("steps"), "read.steps", READ, with_result=False) if "steps" in section else ()
    scope = READ.also("steps", *ANSWER).after([step.name for step in steps])
    return Read(steps, reader.one(section, "status", scope), reader.condition(section, "gone", scope, False))
