"""What a search reads of a change, and how it reads what a person typed."""

from __future__ import annotations

import re
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import F, Func, Q, TextField
from django.db.models.expressions import Combinable
from django.db.models.lookups import IContains

# A number has this many digits at least, with zeros before it.
DIGITS = 7
LARGEST_KEY = 2**63 - 1
_NUMBER = re.compile(r"CHG([0-9]{0,19})", re.IGNORECASE)
# From so many characters on, a word is found within others; a shorter one, where a word begins.
WITHIN = 3
# What a word begins behind.
_BEFORE = (" ", "\n", "\t", "(")
# The name of a function that SQLite gets.
FOLDED = "CHANGES_FOLDED"


class Searched(TextField):
    """A text in which words are found whether they are written small or large, in any script."""


@Searched.register_lookup
class Within(IContains):
    """SQLite's own comparison knows the letters of ASCII alone."""

    def as_sqlite(self, compiler: Any, connection: Any) -> Any:
        text, params = self.process_lhs(compiler, connection)
        word, own = self.process_rhs(compiler, connection)
        return f"{FOLDED}({text}) LIKE {FOLDED}({word}) ESCAPE '\\'", [*params, *own]


def teach_sqlite(connection: Any, **kwargs: Any) -> None:
    """Called for each new connection."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(FOLDED, 1, str.casefold, deterministic=True)


class SearchText(Func):
    """All that is searched of a change as one text: each field on a line of its own, with a space before it.

    On PostgreSQL the index `change_search` holds its trigrams, so a migration repeats this expression in SQL.
    """

    fields = ("number", "title", "service", "category", "description")
    output_field = Searched()

    def __init__(self, *expressions: Combinable | str, **extra: Any) -> None:
        super().__init__(*(expressions or map(F, self.fields)), **extra)

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **extra: Any) -> Any:
        line_end = extra.get("line_end", "chr(10)")
        parts, params = [], []
        for expression in self.source_expressions:
            sql, own = compiler.compile(expression)
            parts.append(sql)
            params += own
        return "(' ' || " + f" || {line_end} || ' ' || ".join(parts) + ")", params

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, line_end="char(10)")


def reading(typed: str) -> Q:
    """The condition for what was typed, on changes that have a `SearchText` as `search_text`: each word must be there.

    `CHG0012` is the beginning of a number. A word of one or two characters must begin a word.
    """
    condition = Q()
    for word in typed.split():
        if number := _NUMBER.fullmatch(word):
            condition &= _numbered(number[1])
        elif len(word) >= WITHIN:
            condition &= Q(search_text__icontains=word)
        else:
            condition &= reduce(or_, (Q(search_text__icontains=before + word) for before in _BEFORE))
    return condition


def has_words(typed: str) -> bool:
    """Whether anything was typed that is not the beginning of a number: only that needs the text of the changes."""
    return any(not _NUMBER.fullmatch(word) for word in typed.split())


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
