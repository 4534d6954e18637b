"""What a search reads of a change, and how it reads what a person typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Model, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.expressions import Combinable
from django.db.models.lookups import IContains, IsNull
from django.db.models.sql.compiler import SQLCompiler

# A number has this many digits at least, with zeros before it.
DIGITS = 7
LARGEST_KEY = 2**63 - 1
_NUMBER = re.compile(r"#?CHG([0-9]{0,19})", re.IGNORECASE)
_PART = re.compile(r'"([^"]*)"|„([^“”]*)[“”]|“([^”]*)”|(\S+)')
# From so many characters on, a word is found within others; a shorter one, where a word begins.
WITHIN = 3
# What a word begins behind.
_BEFORE = (" ", "\n", "\t", "(", "[", "-", "/", ".", ":", ",", "_", "#", '"', "\u00a0")
# The name of a function that SQLite gets.
FOLDED = "CHANGES_FOLDED"


class Searched(TextField):
    """A text in which words are found whether they are written small or large, in any script."""


@Searched.register_lookup
class Within(IContains):
    """SQLite's own comparison knows the letters of ASCII alone."""

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        text, params = self.process_lhs(compiler, connection)
        word, own = self.process_rhs(compiler, connection)
        return f"{FOLDED}({text}) LIKE {FOLDED}({word}) ESCAPE '\\'", [*params, *own]


def teach_sqlite(connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """Called for each new connection."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(FOLDED, 1, str.casefold, deterministic=True)


class SearchText(Func):
    """All that is searched of a row as one text: each field on a line of its own, with a space before it.

    On PostgreSQL indexes hold its trigrams (`change_search`, `comment_search`, `reference_search`), so migrations
    repeat these expressions in SQL.
    """

    fields = ("number", "title", "service", "category", "description")
    output_field = Searched()

    def __init__(self, *expressions: Combinable | str, **extra: Any) -> None:
        super().__init__(*(expressions or map(F, self.fields)), **extra)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *args: object, **extra: object) -> Any:
        line_end = extra.get("line_end", "chr(10)")
        parts: list[str] = []
        params: list[Any] = []
        for expression in self.source_expressions:
            sql, own = compiler.compile(expression)
            parts.append(sql)
            params += own
        return "(' ' || " + f" || {line_end} || ' ' || ".join(parts) + ")", params

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: object) -> Any:
        return self.as_sql(compiler, connection, line_end="char(10)")


# --- Where else words are found ---


@dataclass(frozen=True)
class Source:
    """Rows of changes that are searched too. `rows` are those that a viewer may see: None for staff, else what the
    app that lets others in knows of them. `is_id`: they name records, so what looks like a number is sought there too.
    """

    rows: Callable[[Any], QuerySet[Any]]
    field: str
    is_id: bool = False


_sources: list[Source] = []


def offer(source: Source) -> None:
    """Adds rows to the search. See changes/extensions.py. An index should have their `SearchText`."""
    _sources.append(source)


# --- What was typed ---


def reading(
    typed: str, changes: QuerySet[Any], viewer: Collection[Model] | None = None, *, is_by_row: bool = False
) -> Q:
    """The condition for what was typed, on `changes` with a `SearchText` as `search_text`: each word must be there.

    `CHG0012` is the beginning of a number, or all of it without its zeros. A word of one or two characters must begin
    a word. `"Two words"` in quotes stand so in the text. Asked by row, each change is looked at by itself, which is
    quick for few; else all that match are found by the indexes first.
    """
    condition = Q()
    for word in _words(typed):
        number = _NUMBER.fullmatch(word)
        if number and not number[1]:
            continue
        own = _numbered(number[1]) if number else _has(word)
        own |= _is_number(number[1] if number else word.removeprefix("#"))
        found = [source for source in _sources if source.is_id or not number]
        condition &= _by_row(own, word, found, viewer) if is_by_row else _by_index(own, word, found, changes, viewer)
    return condition


def _by_row(own: Q, word: str, sources: list[Source], viewer: Collection[Model] | None) -> Q:
    for source in sources:
        # Not EXISTS, which would be answered for all changes at once.
        first = _matching(source, word, viewer).filter(change=OuterRef("pk")).values("pk")[:1]
        own |= Q(IsNull(Subquery(first), False))
    return own


def _by_index(own: Q, word: str, sources: list[Source], changes: QuerySet[Any], viewer: Collection[Model] | None) -> Q:
    parts = [_matching(source, word, viewer).values("change") for source in sources]
    return Q(pk__in=changes.filter(own).order_by().values("pk").union(*parts, all=True)) if parts else own


def _matching(source: Source, word: str, viewer: Collection[Model] | None) -> QuerySet[Any]:
    return source.rows(viewer).order_by().alias(search_text=SearchText(source.field)).filter(_has(word))


def _words(typed: str) -> list[str]:
    """Words, and phrases that stand in quotes. A quote without its other half counts for nothing."""
    parts = (next(filter(None, match.groups()), "") for match in _PART.finditer(typed))
    return [word for part in parts if (word := " ".join(part.split()).strip('"„“”'))]


def has_words(typed: str) -> bool:
    """Whether anything was typed that the text of changes, or of what belongs to them, must be asked for."""
    return any(word.upper().lstrip("#") != "CHG" for word in _words(typed))


def _has(word: str) -> Q:
    """In either spelling: a letter with its accent may be stored as one character or as two."""
    spellings = {unicodedata.normalize(form, word) for form in ("NFC", "NFD")}
    if len(word) < WITHIN:
        spellings = {before + word for before in _BEFORE for word in spellings}
    return reduce(or_, (Q(search_text__icontains=spelling) for spelling in sorted(spellings)))


def numbered(typed: str) -> Q:
    """The condition for the change of this number: `CHG0000219`, `#CHG219` or `219`."""
    number = _NUMBER.fullmatch(typed)
    return _is_number(number[1] if number else typed.removeprefix("#"))


def _is_number(digits: str) -> Q:
    """The change of this number, written with all of its zeros or without any."""
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 20
    is_whole = len(digits) >= DIGITS or not digits.startswith("0")
    return Q(pk=int(digits)) if is_number and is_whole and 0 < int(digits) <= LARGEST_KEY else Q(pk__in=[])


def _numbered(digits: str) -> Q:
    """The changes whose number begins with these digits, as ranges of the primary key."""
    if not digits:
        return Q()
    ranges = Q(pk__in=[])
    for length in range(max(DIGITS, len(digits)), len(str(LARGEST_KEY)) + 1):
        if length > DIGITS and digits.startswith("0"):
            break
        free = 10 ** (length - len(digits))
        first = int(digits) * free
        if length > DIGITS:
            first = max(first, 10 ** (length - 1))
        last = (int(digits) + 1) * free - 1
        if first > LARGEST_KEY:
            break
        ranges |= Q(pk__range=(first, min(last, LARGEST_KEY)))
    return ranges
