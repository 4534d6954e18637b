"""What is wrong with a template before it is ever evaluated: syntax, names, filters, and what could not be bounded."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from minijinja import TemplateError

from ..templating.templates import FILTERS, FUNCTIONS, TESTS, Engine
from ..templating.tokens import Block, Use, blocks_of, uses_of

LONGEST_TEMPLATE = 20_000
_STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "raw"})
# They take the name of another filter. With arguments of their own they could multiply what they are given.
_PASSING_FILTERS = frozenset({"map"})


@dataclass(frozen=True)
class Scope:
    """What a template may name. `steps`: the earlier steps, whose values it may use as `steps.NAME.key`."""

    names: frozenset[str]
    steps: frozenset[str] = frozenset()
    place: str = ""

    def also(self, *names: str) -> Scope:
        return replace(self, names=self.names | {*names})

    def after(self, steps: Collection[str]) -> Scope:
        return replace(self, steps=frozenset(steps))


@dataclass(frozen=True)
class Found:
    """A fault at an offset of the template. `word`: the text that stands there."""

    offset: int
    word: str
    message: str


@dataclass
class Check:
    """The faults of one template, and the names and secrets that it uses."""

    engine: Engine
    scope: Scope
    secrets: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def faults(self, source: str) -> Iterator[Found]:
        if len(source) > LONGEST_TEMPLATE:
            yield Found(0, "", f"A template has at most {LONGEST_TEMPLATE} characters.")
            return
        try:
            undeclared = self.engine.undeclared(source)
        except TemplateError as error:
            yield _syntax_fault(source, error)
            return
        self.names |= undeclared
        unknown = undeclared - self.scope.names - FUNCTIONS - {"secret", "omit"}
        for block in blocks_of(source):
            if block.is_statement:
                yield from _statement_faults(block)
            for use in uses_of(block):
                yield from self._faults_of_use(use, unknown)

    def _faults_of_use(self, use: Use, unknown: set[str]) -> Iterator[Found]:
        message = None
        if use.is_filter:
            message = self._filter_fault(use)
        elif use.is_test:
            message = _unknown("test", use.token.text, TESTS)
        elif use.is_name and use.at(1).text == "(":
            message = _unknown("function", use.token.text, FUNCTIONS)
        elif use.is_name:
            message = self._name_fault(use, unknown)
        elif use.token.kind == "mark":
            message = _mark_fault(use)
        if message:
            yield Found(use.token.offset, use.token.text, message)

    def _name_fault(self, use: Use, unknown: set[str]) -> str | None:
        name = use.token.text
        if name == "secret":
            return self._secret_fault(use)
        if name == "steps" and "steps" in self.scope.names:
            return self._step_fault(use)
        if name not in unknown:
            return None
        return _unknown("name", name, self.scope.names | {"omit"})

    def _secret_fault(self, use: Use) -> str | None:
        if "secret" not in self.scope.names:
            return "A secret can be used in auth, headers and bodies only."
        name = _attribute(use)
        if not name:
            return "Name one secret, as in secret.API_KEY."
        self.secrets.add(name)
        return None

    def _step_fault(self, use: Use) -> str | None:
        name = _attribute(use)
        if not name:
            return "Name one step and one key that it saved, as in steps.upload.token."
        is_asked = use.texts(3, 4) == ["is", "defined"] or use.texts(3, 4, 5) == ["is", "not", "defined"]
        if name in self.scope.steps or is_asked:
            return None
        known = f"The earlier steps are: {', '.join(sorted(self.scope.steps))}." if self.scope.steps else ""
        return f"There is no earlier step {name}. {known}".strip()

    def _filter_fault(self, use: Use) -> str | None:
        name = use.token.text
        if name == "table":
            return self._table_fault(use)
        if name in _PASSING_FILTERS and not _passes_one(use):
            return f"|{name} takes attribute='NAME', or the name of a filter and nothing else."
        return _unknown("filter", name, FILTERS)

    def _table_fault(self, use: Use) -> str | None:
        if use.at(1).text != "(" or use.at(2).kind != "text":
            return "Name the table, as in |table('priority')."
        return _unknown("table", use.at(2).value, self.engine.tables)


def _attribute(use: Use) -> str:
    """`NAME` of `secret.NAME` or `secret['NAME']`; "" for any other use."""
    if use.at(1).text == "." and use.at(2).kind == "name":
        return use.at(2).text
    if use.at(1).text == "[" and use.at(2).kind == "text" and use.at(3).text == "]":
        return use.at(2).value
    return ""


def _passes_one(use: Use) -> bool:
    following = [use.at(distance).kind == "text" or use.at(distance).text for distance in range(1, 6)]
    return following[:3] == ["(", True, ")"] or following == ["(", "attribute", "=", True, ")"]


def _mark_fault(use: Use) -> str | None:
    """What would call something, or build values that share their parts and so have no bound in size."""
    mark = use.token.text
    if mark == "(" and use.is_call_of_value:
        return "A value has no methods and cannot be called. Use a filter, as in |upper."
    if mark in ("[", "{") and not use.follows_value and use.has_name_within:
        return "A list or mapping in a template holds constants only. Write it in YAML, with a template for each part."
    if mark == "*" and not use.multiplies_numbers:
        return "Multiply by a number, and only what |int or |float gives, as in value|int * 1000."
    return None


def _statement_faults(block: Block) -> Iterator[Found]:
    word = block.tokens[0]
    if word.text not in _STATEMENTS:
        yield Found(word.offset, word.text, f"The statement {word.text} is not available. Use if and for.")
    elif word.text == "for" and block.tokens[-1].text == "recursive":
        yield Found(block.tokens[-1].offset, "recursive", "A recursive loop is not available.")


def _syntax_fault(source: str, error: TemplateError) -> Found:
    start, end = error.range or (0, 0)
    # minijinja counts bytes.
    encoded = source.encode()
    offset = len(encoded[:start].decode(errors="ignore"))
    word = encoded[start:end].decode(errors="ignore")
    return Found(offset, word, f"Not a valid template: {error.detail or error.message}.")


def _unknown(kind: str, name: str, known: Collection[str] | Mapping[str, object]) -> str | None:
    if name in known:
        return None
    near = difflib.get_close_matches(name, [*known], 1)
    hint = f" Did you mean {near[0]}?" if near else f" Known here: {', '.join(sorted(known))}." if known else ""
    return f"There is no {kind} {name}{' here' if kind == 'name' else ''}.{hint}"
