"""From nodes of a document to templates, requests and steps."""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from integrations.transports.statuses import Outcome, outcome_of

from ..evaluation.calls import NOT_IN_HEADER, origin_of
from ..evaluation.shapes import (
    BodyTemplate,
    Expectation,
    PartTemplate,
    RequestTemplate,
    Step,
)
from ..templating.templates import Engine, Template, Value
from ..templating.tokens import is_template
from .checks import Check, Scope
from .source import DEEPEST, Entry, Section, Source, below

MOST_STEPS = 10
METHODS = ("get", "post", "put", "patch", "delete")
BODIES = ("json", "form", "text", "multipart", "file")
REQUEST_KEYS = (*METHODS, "query", "headers", *BODIES)
EXPECTATION_KEYS = ("expect", "refuse_if", "retry_if")
REFERENCE = frozenset({"external_id", "external_url", "external_status"})
EVERYWHERE = frozenset({"system", "now"})
AUTH = Scope(frozenset({"secret"}))
ANSWER = ("status", "headers", "body")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_GUARDED = re.compile(r"\bsteps\.(\w+)\s+is\s+defined\b")
_WRONG_IN_URL = (
    (r"[{}]", "It has no template: write the address itself."),
    (r"@", "User and password stand in auth, not in the URL."),
    (r"[?#]", "It has no ? and no #: the query stands in each request."),
    (r"[\s\\]", "It has no spaces and no backslashes."),
)
# The transport sets these itself.
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection"}


class Reader:
    """Reads the parts of one document. Faults go to its source, the names of secrets to `secrets`.

    `names`: those that its templates used so far.
    """

    def __init__(self, source: Source, engine: Engine, pause_on: frozenset[int]) -> None:
        self.source, self.engine, self.pause_on = source, engine, pause_on
        self.secrets: set[str] = set()
        self.names: set[str] = set()
        self.secret_uses = 0  # by how many templates

    # --- Values ---

    def template(self, node: yaml.Node, path: str, scope: Scope, text: str) -> Value:
        """The text itself, if it is no template."""
        if not is_template(text):
            return text
        check = Check(self.engine, scope)
        for found in check.faults(text):
            self.source.fault_in_text(node, path, text, found)
        self.secrets |= check.secrets
        self.names |= check.names
        self.secret_uses += bool(check.secrets)
        return Template.of(self.engine, text, path, uses_secret=bool(check.secrets))

    def value(self, node: yaml.Node, path: str, scope: Scope, depth: int = 0) -> Value:
        """Any JSON value. Its texts may be templates."""
        if depth > DEEPEST:
            self.source.fault(node, path, f"This is nested more than {DEEPEST} levels deep.")
            return None
        if isinstance(node, yaml.MappingNode):
            entries = self.source.entries(node, path)
            return {key: self.value(entry.value, below(path, key), scope, depth + 1) for key, entry in entries.items()}
        if isinstance(node, yaml.SequenceNode):
            items = self.source.items(node, path)
            return [self.value(item, f"{path}[{place}]", scope, depth + 1) for place, item in enumerate(items)]
        constant = self.source.constant(node, path)
        return self.template(node, path, scope, constant) if isinstance(constant, str) else constant

    def scalar(self, node: yaml.Node, path: str, scope: Scope) -> Value:
        """One value, no list and no mapping: a text that may be a template, a number, true, false or nothing."""
        constant = self.source.constant(node, path)
        return self.template(node, path, scope, constant) if isinstance(constant, str) else constant

    def one(self, section: Section, key: str, scope: Scope, default: Value = None) -> Value:
        return self.scalar(section.node(key), section.at(key), scope) if key in section else default

    def condition(self, section: Section, key: str, scope: Scope, default: bool) -> Value:
        """A condition: true, false, or a template that is one expression. Any other text would always be true."""
        value = self.one(section, key, scope, default)
        if isinstance(value, bool) or (isinstance(value, Template) and value.is_expression):
            return value
        if isinstance(section.node(key), yaml.ScalarNode):  # otherwise its fault is recorded already
            section.fault(key, 'A condition is one expression, as in "{{ comment }}", or true or false.')
        return default

    def pairs(self, section: Section, key: str, scope: Scope, lists: bool = True) -> dict[str, Value]:
        """A mapping of names to values, or lists of them."""
        pairs = {}
        for name, entry in section.mapping(key).items():
            path = below(section.at(key), name)
            is_list = lists and isinstance(entry.value, yaml.SequenceNode)
            pairs[name] = (self.value if is_list else self.scalar)(entry.value, path, scope)
        return pairs

    # --- Requests ---

    def request(self, section: Section, scope: Scope) -> RequestTemplate | None:
        """None if no method is given; the fault is recorded."""
        method = section.one_of(METHODS, "method")
        with_secrets, uses_before = scope.also("secret"), self.secret_uses
        headers = self.pairs(section, "headers", with_secrets, lists=False)
        names: set[str] = set()
        for name, entry in section.mapping("headers").items() if headers else ():
            self._check_header(section, name, entry)
            if name.lower() in names:
                self.source.fault(entry.key, below(section.at("headers"), name), "This header stands here twice.")
            names.add(name.lower())
        query = self.pairs(section, "query", scope)
        body = self.body(section, with_secrets)
        if body and method in ("get", "delete") and body.kind == "file":
            section.fault(body.kind, f"A {method} has no file.")
        if method is None:
            return None
        target = self.one(section, method, scope)
        self._check_target(section, method, target)
        uses_secret = self.secret_uses > uses_before
        return RequestTemplate(section.at(""), method.upper(), target, query, headers, body, uses_secret)

    def _check_header(self, section: Section, name: str, entry: Entry) -> None:
        path = below(section.at("headers"), name)
        if not _HEADER_NAME.match(name):
            self.source.fault(entry.key, path, "This is no name of a header.")
        elif name.lower() in _OWN_HEADERS:
            self.source.fault(entry.key, path, f"{name} is set by itself.")

    def _check_target(self, section: Section, method: str, target: Value) -> None:
        text = target.source if isinstance(target, Template) else target
        if isinstance(text, str) and text.startswith("/") and not text.startswith("//"):
            return
        if not (isinstance(target, Template) and target.is_expression):
            section.fault(
                method, "Write a path that begins with /, or one expression that gives a URL of the same host."
            )

    def body(self, section: Section, scope: Scope) -> BodyTemplate | None:
        kind = section.one_of(BODIES, "body", is_needed=False)
        if kind is None:
            return None
        if kind == "json":
            return BodyTemplate(kind, self.value(section.node(kind), section.at(kind), scope))
        if kind == "form":
            return BodyTemplate(kind, self.pairs(section, kind, scope))
        if kind == "text":
            return BodyTemplate(kind, self.one(section, kind, scope))
        if kind == "multipart":
            nodes = self.source.items(section.node(kind), section.at(kind))
            parts = [self._part(node, f"{section.at(kind)}[{place}]", scope) for place, node in enumerate(nodes)]
            return BodyTemplate(kind, parts)
        if not section.flag(kind, True):
            section.fault(kind, "Write true, or leave it out.")
        return BodyTemplate(kind)

    def _part(self, node: yaml.Node, path: str, scope: Scope) -> PartTemplate:
        section = Section(self.source, node, path, ("part", "json", "text", "file", "content_type"))
        section.needs("part")
        kind = section.one_of(("json", "text", "file"), "content") or "text"
        value: Value = None
        if kind == "json" and kind in section:
            value = self.value(section.node(kind), section.at(kind), scope)
        elif kind == "text":
            value = self.one(section, kind, scope)
        elif not section.flag("file", True):
            section.fault("file", "Write true, or leave it out.")
        for key in ("part", "content_type"):
            if NOT_IN_HEADER.search(section.text(key)):
                section.fault(key, "Write one line without control characters.")
        return PartTemplate(section.text("part"), kind, value, section.text("content_type") or None)

    def expectation(self, section: Section, scope: Scope) -> Expectation:
        statuses = section.statuses("expect")
        if statuses is not None and not statuses:
            section.fault("expect", "Write at least one status, as in [200, 201].")
        never = sorted(
            status
            for status in statuses or ()
            if status in self.pause_on or (status >= 300 and outcome_of(status) is Outcome.RETRY)
        )
        if never:
            what = "pauses the system (pause_on)" if never[0] in self.pause_on else "is always retried"
            section.fault("expect", f"{never[0]} {what}, so it cannot be expected.")
        answer = scope.also(*ANSWER)
        refuse_if = self.condition(section, "refuse_if", answer, False)
        return Expectation(statuses, refuse_if, self.condition(section, "retry_if", answer, False))

    # --- Steps ---

    def steps(self, node: yaml.Node, path: str, scope: Scope, with_result: bool) -> tuple[Step, ...]:
        """A list of steps. `with_result`: whether a step may fill the reference, and be remembered."""
        scope = scope.also("steps")
        nodes = self.source.items(node, path)
        if len(nodes) > MOST_STEPS:
            self.source.fault(nodes[MOST_STEPS], path, f"At most {MOST_STEPS} steps are possible.")
            nodes = nodes[:MOST_STEPS]
        steps: list[Step] = []
        for place, one in enumerate(nodes):
            step = self._step(one, f"{path}[{place}]", scope.after([step.name for step in steps]), with_result)
            if any(step.name == earlier.name for earlier in steps):
                self.source.fault(one, step.path, f"An earlier step is named {step.name} too.")
            steps.append(step)
        return tuple(steps)

    def _step(self, node: yaml.Node, path: str, scope: Scope, with_result: bool) -> Step:
        own = ("result", "once") if with_result else ()
        section = Section(self.source, node, path, ("name", "when", *REQUEST_KEYS, *EXPECTATION_KEYS, "save", *own))
        name = section.text("name") if section.needs("name") else ""
        if name and not NAME.match(name):
            section.fault("name", "A name has letters, digits and _, and does not begin with a digit.")
        section.path = f"{path} {name}: " if name else path
        when = self.condition(section, "when", scope, True)
        if isinstance(when, Template):
            scope = scope.after(scope.steps | {*_GUARDED.findall(when.source)})
        request = self.request(section, scope)
        answer = scope.also(*ANSWER)
        result = self.pairs(section, "result", answer, lists=False)
        for key in section.mapping("result") if result else ():
            if key not in REFERENCE:
                section.fault(
                    "result", f"There is no {key}: external_id, external_url and external_status can be filled."
                )
        saved = section.mapping("save")
        return Step(
            name=name,
            path=f"{path} {name}: ",
            request=request or RequestTemplate(section.at(""), "GET", "/"),
            expectation=self.expectation(section, scope),
            when=when,
            result=result,
            save={key: self.value(entry.value, below(section.at("save"), key), answer) for key, entry in saved.items()},
            once=section.flag("once", request is None or request.method != "GET"),
        )

    # --- Addresses ---

    def url(self, section: Section, key: str) -> str:
        """An http or https URL, without a query, and without a slash at its end."""
        text = section.text(key)
        if not text:
            return ""
        if wrong := _wrong_with_url(text):
            section.fault(key, f"Write a URL as in https://desk.example.com/api. {wrong}")
            return ""
        return text.rstrip("/")


def _wrong_with_url(text: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    if not scheme:
        return "It begins with https:// or http://."
    if scheme[1].lower() not in ("http", "https"):
        return f"With {scheme[1]}:// nothing can be called, only with https:// or http://."
    for pattern, wrong in _WRONG_IN_URL:
        if re.search(pattern, text):
            return wrong
    try:
        return "" if origin_of(text)[1] else "The host is missing."
    except ValueError:
        return "Its host or port cannot be read."


def header_name(section: Section, key: str) -> str:
    """The name of a header that is not set by itself."""
    name = section.text(key)
    if name and (not _HEADER_NAME.match(name) or name.lower() in _OWN_HEADERS):
        section.fault(key, "This is no name of a header that can be set.")
    return name


def constants(source: Source, node: yaml.Node, path: str, entries: Mapping[str, Entry]) -> dict[str, object]:
    """The rows of a table: constants only."""
    rows: dict[str, object] = {}
    for key, entry in entries.items():
        rows[key] = source.constant(entry.value, below(path, key))
        if is_template(str(rows[key])):
            source.fault(entry.value, below(path, key), "A table has no templates.")
    return rows
