"""The parts `poll`, `inbox` and `read` of a document."""

from __future__ import annotations

import yaml

from ..evaluation.shapes import Inbox, Listing, OperationTemplate, Poll, Read, RequestTemplate, Step, Verification
from ..templating.templates import Template, Value
from .checks import Scope
from .reading import ANSWER, AUTH, EVERYWHERE, EXPECTATION_KEYS, NAME, REFERENCE, REQUEST_KEYS, Reader
from .source import Kinds, Section, section_of_kind

LIST = Scope(frozenset({"cursor", "page"}))
ITEM = Scope(frozenset({"item"}))
INBOX = Scope(frozenset({"body", "headers"}))
READ = Scope(REFERENCE | EVERYWHERE)
POLL_KEYS = (
    *("every", "list", "cursor", "overlap", "external_id", "read", "entries", "skip_if", "operation", "acknowledge"),
)
_NO_LIST = Listing(RequestTemplate("poll.list.", "GET", "/"))


def poll_of(reader: Reader, whole: Section) -> Poll:
    section = Section(reader.source, whole.node("poll"), "poll", POLL_KEYS)
    section.needs("every", "list", "external_id", "operation")
    listed = _list(reader, section) if "list" in section else _NO_LIST
    if listed.cursor is None:
        section.needs("cursor")
    elif "cursor" in section:
        section.fault("cursor", "The list has a cursor: write one of the two.")
    read: tuple[Step, ...] = ()
    scope = ITEM.also("cursor", "known")
    saved: list[str] = []
    if "read" in section:
        read = reader.steps(section.node("read"), "poll.read", scope, with_result=False)
        saved = [step.name for step in read]
    scope = scope.also("steps").after(saved)
    entry = scope.also("entry")
    operation = OperationTemplate("poll.operation", {})
    if "operation" in section:
        known = entry.also("external_id")
        operation = _operation(reader, section.node("operation"), section.at("operation"), known)
        if listed.by_page and operation.key is None:
            message = "Give it a key: a list by page is read more than once, and a key tells what was done already."
            section.fault("operation", message)
    acknowledge: tuple[Step, ...] = ()
    if "acknowledge" in section:
        done = scope.also("external_id", "change_number")
        acknowledge = reader.steps(section.node("acknowledge"), "poll.acknowledge", done, with_result=False)
    return Poll(
        every=section.number("every", 10, 7 * 86_400) or 60,
        listed=listed,
        cursor=reader.one(section, "cursor", ITEM.also("now")),
        external_id=reader.one(section, "external_id", ITEM.also("steps").after(saved)),
        overlap=section.number("overlap", 0, 86_400),
        read=read,
        entries=reader.one(section, "entries", scope),
        skip_if=reader.condition(section, "skip_if", entry, False),
        operation=operation,
        acknowledge=acknowledge,
    )


INCOMING = ("Create", "Update", "Assign", "Reject", "Cancel")
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


def _operation(
    reader: Reader, node: yaml.Node, path: str, scope: Scope, more: tuple[str, ...] = ()
) -> OperationTemplate:
    section = Section(reader.source, node, path, ("key", *more, *OPERATION_KEYS))
    section.needs("operation")
    body: dict[str, Value] = {}
    for name in section.entries:
        if name in OPERATION_KEYS:
            body[name] = reader.value(section.node(name), section.at(name), scope)
    said = body.get("operation")
    if "operation" in section and not isinstance(said, Template) and said not in INCOMING:
        section.fault("operation", f"Write one of {', '.join(INCOMING)}, or a template that gives one.")
    when = reader.condition(section, "when", scope, True)
    return OperationTemplate(path, body, reader.one(section, "key", scope), when)


def _list(reader: Reader, whole: Section) -> Listing:
    keys = (*REQUEST_KEYS, *EXPECTATION_KEYS, "items", "page_size", "cursor")
    section = Section(reader.source, whole.node("list"), "poll.list", keys)
    section.needs("items")
    reader.names.discard("page")
    request = reader.request(section, LIST.also("now"))
    return Listing(
        request=request or _NO_LIST.request,
        by_page="page" in reader.names,
        expectation=reader.expectation(section, LIST),
        items=reader.one(section, "items", LIST.also(*ANSWER)),
        page_size=section.number("page_size", 1, 10_000),
        cursor=reader.one(section, "cursor", LIST.also(*ANSWER, "now")),
    )


def inbox_of(reader: Reader, whole: Section) -> Inbox:
    section = Section(reader.source, whole.node("inbox"), "inbox", ("verify", "operations"))
    section.needs("verify", "operations")
    verify = _verification(reader, section) if "verify" in section else Verification("token")
    nodes = reader.source.items(section.node("operations"), "inbox.operations") if "operations" in section else []
    operations = []
    for place, node in enumerate(nodes):
        operation = _operation(reader, node, f"inbox.operations[{place}]", INBOX, ("when",))
        if len(nodes) > 1 and operation.key is None:
            message = "Give it a key: if one of several operations is refused, the partner sends all of them again."
            reader.source.fault(node, operation.path, message)
        operations.append(operation)
    return Inbox(verify, tuple(operations))


# Of each kind: the keys that it may have, and those that it must have.
VERIFY_KINDS: Kinds = {
    "token": (("in_query",), ()),
    "basic": ((), ("username", "password")),
    "standard_webhooks": ((), ("secret",)),
    "hmac": (("algorithm", "encoding", "prefix"), ("header", "secret")),
}


def _verification(reader: Reader, whole: Section) -> Verification:
    section, kind = section_of_kind(reader.source, whole.node("verify"), "inbox.verify", VERIFY_KINDS)
    if not kind:
        return Verification("token")
    secret = section.text("secret")
    if secret and not NAME.match(secret):
        section.fault("secret", "Write the name of a secret alone, as in HOOK_KEY: letters, digits and _.")
    elif secret:
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


def read_of(reader: Reader, whole: Section) -> Read:
    section = Section(reader.source, whole.node("read"), "read", ("steps", "status", "gone"))
    section.needs("steps", "status")
    steps = reader.steps(section.node("steps"), "read.steps", READ, with_result=False) if "steps" in section else ()
    scope = READ.also("steps", *ANSWER).after([step.name for step in steps])
    return Read(steps, reader.one(section, "status", scope), reader.condition(section, "gone", scope, False))
