"""The filter and the order of a list, from SMAX's grammar to the ORM.

filter = term ("and" | "or" term)...      "and" binds closer
term   = "(" filter ")" | name operator value | name "in" "(" values ")" | name "btw" "(" value "," value ")"
         | name "startswith" "(" value ")"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple, NoReturn

from django.db.models import F, Q
from rest_framework.exceptions import ValidationError

from .properties import MOST_DIGITS, choice_of, moment_of
from .registration import Registration

MOST_CHARACTERS = 8000
MOST_TERMS = 200
MOST_VALUES = 1000
DEEPEST = 50
_COMPARISONS = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*') | (?P<number>-?[0-9]+(?:\.[0-9]+)?) | (?P<name>[A-Za-z_][A-Za-z0-9_.]*)
        | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.ASCII,
)
NEVER, ALWAYS = Q(pk__in=[]), Q(pk__isnull=False)


# --- What can be filtered by ---


@dataclass(frozen=True)
class Column:
    """`path`: the field of the ORM. `value`: from the value in the filter to that of the field; raises ValueError."""

    path: str
    value: Callable[[str], Any] = str
    is_ordered: bool = True  # whether < and > mean something

    def where(self, operator: str, values: list[str]) -> Q:
        given = [self.value(value) for value in values]
        if operator == "in":
            return Q(**{f"{self.path}__in": given})
        if operator == "btw":
            return self._compared(">=", given[0]) & self._compared("<=", given[1])
        if operator == "!=":
            return ~self._compared("=", given[0])
        if operator == "startswith":
            return self._starting(given[0])
        return self._compared(operator, given[0])

    def _compared(self, operator: str, value: Any) -> Q:
        if operator != "=" and not self.is_ordered:
            raise ValueError(f"It cannot be compared by {operator}.")
        return Q(**{f"{self.path}__{_COMPARISONS[operator]}": value})

    def _starting(self, value: Any) -> Q:
        raise ValueError("Only a text can start with something.")


class TextColumn(Column):
    def _starting(self, value: Any) -> Q:
        return Q(**{f"{self.path}__istartswith": value})


class MomentColumn(Column):
    """A time, which adapters know to the millisecond only."""

    def where(self, operator: str, values: list[str]) -> Q:
        if operator != "in":
            return super().where(operator, values)
        return reduce(or_, (self._compared("=", self.value(value)) for value in values))

    def _compared(self, operator: str, value: Any) -> Q:
        after = value + timedelta(milliseconds=1)
        if operator == "=":
            return Q(**{f"{self.path}__gte": value, f"{self.path}__lt": after})
        if operator == "<=":
            return Q(**{f"{self.path}__lt": after})
        if operator == ">":
            return Q(**{f"{self.path}__gte": after})
        return super()._compared(operator, value)


@dataclass(frozen=True)
class Constant:
    """What has the same value for all records."""

    values: Collection[str]
    path: str = "pk"

    def where(self, operator: str, values: list[str]) -> Q:
        if operator not in ("=", "!=", "in"):
            raise ValueError(f"It cannot be compared by {operator}.")
        is_one = any(value in self.values for value in values)
        return ALWAYS if is_one != (operator == "!=") else NEVER


Columns = Mapping[str, Column | Constant]


def key(value: str) -> int:
    """The primary key of an id. Raises ValueError."""
    value = value.removesuffix(".0")
    if not (value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        raise ValueError("Give an id, such as '7'.")
    return int(value)


def text(path: str) -> Column:
    return TextColumn(path)


def one_of(path: str, registration: Registration, name: str) -> Column:
    return Column(path, lambda value: choice_of(value, registration, name), is_ordered=False)


def moment(path: str) -> Column:
    return MomentColumn(path, moment_of)


# --- Reading a filter ---


class _Token(NamedTuple):
    kind: str  # text, number, name, sign, end
    text: str
    at: int

    @property
    def word(self) -> str:
        return self.text.lower() if self.kind == "name" else self.text

    @property
    def value(self) -> str:
        return self.text[1:-1].replace("''", "'") if self.kind == "text" else self.text


def condition(given: str, columns: Columns) -> Q:
    """What the filter asks for; everything, if it is empty. Raises ValidationError."""
    if not given.strip():
        return ALWAYS
    if len(given) > MOST_CHARACTERS:
        _refuse(f"It has {len(given)} characters; at most {MOST_CHARACTERS} are taken.")
    if "\x00" in given:
        _refuse("A NUL character is not allowed.")
    return _Parser(given, columns).whole()


def _tokens(given: str) -> Iterator[_Token]:
    position, end = 0, len(given.rstrip())
    while position < end:
        match = _TOKEN.match(given, position)
        if match is None or not match.lastgroup:
            start = position + len(given[position:]) - len(given[position:].lstrip())
            _refuse(f"It cannot be read from character {start + 1} on, at {given[start : start + 20]!r}. {_HELP}")
        yield _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))
        position = match.end()
    yield _Token("end", "", end)


_HELP = "Write terms such as PhaseId='Plan' or Id in ('1','2'), joined by and, or, and parentheses."


class _Parser:
    def __init__(self, given: str, columns: Columns) -> None:
        self.columns = columns
        self.tokens = list(_tokens(given))
        self.place = self.terms = self.depth = 0

    def whole(self) -> Q:
        found = self._either()
        if self._next.kind != "end":
            self._wrong("and, or, or its end")
        return found

    @property
    def _next(self) -> _Token:
        return self.tokens[self.place]

    def _take(self) -> _Token:
        token = self._next
        if token.kind != "end":
            self.place += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._next.text != sign or self._next.kind != "sign":
            self._wrong(sign)
        self.place += 1

    def _wrong(self, wanted: str) -> NoReturn:
        token = self._next
        got = f"{token.text[:50]} at character {token.at + 1}" if token.kind != "end" else "its end"
        _refuse(f"Expected {wanted}, but there is {got}. {_HELP}")

    def _either(self) -> Q:
        found = self._all()
        while self._next.word == "or":
            self._take()
            found |= self._all()
        return found

    def _all(self) -> Q:
        found = self._term()
        while self._next.word == "and":
            self._take()
            found &= self._term()
        return found

    def _term(self) -> Q:
        if self._next.text == "(" and self._next.kind == "sign":
            self.depth += 1
            if self.depth > DEEPEST:
                _refuse(f"It has more than {DEEPEST} parentheses within one another.")
            self._take()
            found = self._either()
            self._expect(")")
            self.depth -= 1
            return found
        self.terms += 1
        if self.terms > MOST_TERMS:
            _refuse(f"It has more than {MOST_TERMS} terms.")
        if self._next.kind != "name":
            self._wrong("the name of a property")
        name = self._take().text
        column = _column(name, self.columns, "filter")
        operator, values = self._operation()
        try:
            return column.where(operator, values)
        except ValueError as error:
            _refuse(f"{name}: {error}")

    def _operation(self) -> tuple[str, list[str]]:
        token = self._next
        if token.kind == "sign" and token.text in (*_COMPARISONS, "!=", "<>"):
            self._take()
            return ("!=" if token.text == "<>" else token.text), [self._value()]
        if token.word not in ("in", "btw", "startswith"):
            self._wrong("an operator")
        self._take()
        values = self._values()
        wanted = {"btw": 2, "startswith": 1}.get(token.word, len(values))
        if len(values) != wanted or len(values) > MOST_VALUES:
            _refuse(f"{token.word} takes {wanted if wanted != len(values) else MOST_VALUES} values.")
        return token.word, values

    def _values(self) -> list[str]:
        self._expect("(")
        values = [self._value()]
        while self._next.text == "," and self._next.kind == "sign":
            self._take()
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> str:
        if self._next.kind not in ("text", "number"):
            self._wrong("a number, or a text in single quotes")
        return self._take().value


def _column(name: str, columns: Columns, parameter: str) -> Column | Constant:
    column = columns.get(name)
    if column is None:
        _refuse(f"There is no property {name[:100]}. Known: {', '.join(columns)}.", parameter)
    return column


# --- Order ---


def ordering(given: str, columns: Columns, default: str = "pk") -> list[Any]:
    """The fields to order by, from a text such as `Name asc`. Raises ValidationError."""
    fields: list[Any] = []
    for part in given.split(",")[:20]:
        if not part.strip():
            continue
        name, *direction = part.split()
        if len(direction) > 1 or (direction and direction[0].lower() not in ("asc", "desc")):
            _refuse("Write a property and asc or desc, such as Id desc.", "order")
        path = F(_column(name, columns, "order").path)
        fields.append(path.desc() if direction and direction[0].lower() == "desc" else path.asc())
    return [*fields, default]


def _refuse(message: str, parameter: str = "filter") -> NoReturn:
    raise ValidationError({parameter: [message]})
