"""The search for changes: the texts that it covers, and how it interprets what a person typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.core.exceptions import ValidationError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, Model, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.expressions import Combinable
from django.db.models.lookups import IContains, IExact, IsNull
from django.db.models.sql.compiler import SQLCompiler
from django.utils.translation import gettext_lazy as _

from changes.texts.lines import as_line
from changes.validators import is_unseen

# A change's number has at least this many digits; leading zeros fill it up.
DIGITS = 7
LARGEST_KEY = 2**63 - 1
_NUMBER = re.compile(r"#?CHG([0-9]{0,19})", re.IGNORECASE)
# A space or a hyphen may follow the letters where nothing but the number was typed.
_NAMED = re.compile(r"#?\s*(?:CHG[\s-]*)?([0-9]{1,19})", re.IGNORECASE)
_PART = re.compile(r'"([^"]*)"|„([^“”]*)[“”]|“([^”]*)”|(\S+)')
MOST_WORDS = 10
# A word of at least this many characters is found anywhere in a text; a shorter one where a word begins.
WITHIN = 3
# The characters after which a word begins: white space, punctuation and signs. PostgreSQL's indexes serve a regular
# expression only if the characters of its class are below U+0800, so the others that people use are looked for one by
# one.
_BEFORE = "\n\r\t" + "".join(char for char in map(chr, range(0x800)) if unicodedata.category(char)[0] in "PSZ")
_BEFORE_TOO = (
    "\u2009\u202f\u3000"  # spaces
    "\u2010\u2011\u2013\u2014\u2212"  # hyphens, dashes, minus
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2039\u203a"  # quotation marks
    "\u2022\u2026\u20ac\u2192"  # bullet, ellipsis, euro, arrow
    "\u3001\u3002\u300c\uff08\uff0c\uff1a"  # punctuation of Chinese and Japanese
)
_ASCII_SIGN = re.compile("[!-/:-@[-`{-~]")
_CLASS = "[" + _ASCII_SIGN.sub(r"\\\g<0>", _BEFORE) + "]"
_CLASS_OF_ALL = f"[{re.escape(_BEFORE + _BEFORE_TOO)}]"
# Letters of scripts without capitals, of which many write no spaces; and emoji.
_ANYWHERE = ("Lo", "So")
_QUOTES = '"„“”'
# The SQL functions that `teach_sqlite()` adds to SQLite.
FOLDED = "CHANGES_FOLDED"
BEGINS = "CHANGES_BEGINS"


class Searched(TextField):
    """A text that is searched without regard to upper and lower case, in any script."""


class _Folded:
    """A lookup for `Searched`: SQLite's own comparison ignores the case of ASCII letters only."""

    def as_sqlite(self: Any, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        text, params = self.process_lhs(compiler, connection)
        word, own = self.process_rhs(compiler, connection)
        return f"{FOLDED}({text}) LIKE {FOLDED}({word}) ESCAPE '\\'", [*params, *own]


@Searched.register_lookup
class Within(_Folded, IContains):
    """`icontains`."""


@Searched.register_lookup
class Same(_Folded, IExact):
    """`iexact`."""


@Searched.register_lookup
class Begins(IContains):
    """Whether a word of the text begins so."""

    lookup_name = "begins"

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        text, own = self.process_lhs(compiler, connection)
        if connection.vendor == "sqlite":
            return f"{BEGINS}({text}, %s)", [*own, self.rhs]
        text = connection.ops.lookup_cast("icontains") % text
        like = connection.ops.prep_for_like_query(self.rhs)
        literal = _ASCII_SIGN.sub(r"\\\g<0>", self.rhs)
        conditions = [f"{text} ~ (%s || UPPER(%s))", *[f"{text} LIKE UPPER(%s)"] * len(_BEFORE_TOO)]
        params = [*own, _CLASS, literal]
        for before in _BEFORE_TOO:
            params += [*own, f"%{before}{like}%"]
        return f"({' OR '.join(conditions)})", params


def _begins(text: str, word: str) -> bool:
    return bool(re.search(_CLASS_OF_ALL + re.escape(word.casefold()), text.casefold()))


def teach_sqlite(connection: BaseDatabaseWrapper, **kwargs: object) -> None:
    """Adds the functions `FOLDED` and `BEGINS` to a new connection to SQLite."""
    if connection.vendor == "sqlite":
        connection.connection.create_function(FOLDED, 1, str.casefold, deterministic=True)
        connection.connection.create_function(BEGINS, 2, _begins, deterministic=True)


class SearchText(Func):
    """The searched fields of a row as one text: each field on a line of its own, with a space before it.

    PostgreSQL has trigram indexes on this expression (`change_search`, `comment_search`, `reference_search`). Their
    migrations repeat it in SQL, so both must stay the same.
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


# --- Other rows that are searched ---


@dataclass(frozen=True)
class Source:
    """Rows that belong to changes and are searched too, in the text `field`.

    `rows` returns those that a viewer may see. The viewer is None for staff; for others the app that lets them in
    chooses the value. `is_id`: the field holds identifiers, so a typed change number is searched there too.
    """

    rows: Callable[[Any], QuerySet[Any]]
    field: str
    is_id: bool = False


_sources: list[Source] = []


def offer(source: Source) -> None:
    """Adds rows to the search: see changes/extensions.py. There should be an index on their `SearchText`."""
    _sources.append(source)


# --- The typed text ---


def reading(
    typed: str, changes: QuerySet[Any], viewer: Collection[Model] | None = None, *, is_by_row: bool = False
) -> Q:
    """The condition that every typed word is found, for `changes` with a `SearchText` as `search_text`.

    `CHG0012` is the beginning of a number, `CHG12` also a whole number without its zeros. A word of one or two letters
    or digits must begin a word, unless its script has no capitals. `"Two words"` in quotes must stand together.
    `is_by_row` tests each change by itself, which is quick for few changes; otherwise the indexes find all matches
    first.
    """
    condition = Q()
    for word in dict.fromkeys(_words(typed)):
        number = _NUMBER.fullmatch(as_line(word))
        if number and not number[1]:
            continue
        own = _numbered(number[1]) if number else _has(word)
        own |= numbered(word)
        found = [source for source in _sources if source.is_id or not number]
        condition &= _by_row(own, word, found, viewer) if is_by_row else _by_index(own, word, found, changes, viewer)
    return condition


def _by_row(own: Q, word: str, sources: list[Source], viewer: Collection[Model] | None) -> Q:
    for source in sources:
        # Not EXISTS: the database would evaluate it for all changes at once.
        first = _matching(source, word, viewer).filter(change=OuterRef("pk")).values("pk")[:1]
        own |= Q(IsNull(Subquery(first), False))
    return own


def _by_index(own: Q, word: str, sources: list[Source], changes: QuerySet[Any], viewer: Collection[Model] | None) -> Q:
    parts = [_matching(source, word, viewer).values("change") for source in sources]
    return Q(pk__in=changes.filter(own).order_by().values("pk").union(*parts, all=True)) if parts else own


def _matching(source: Source, word: str, viewer: Collection[Model] | None) -> QuerySet[Any]:
    return source.rows(viewer).order_by().alias(search_text=SearchText(source.field)).filter(_has(word))


def _words(typed: str) -> list[str]:
    """The typed words, and the phrases in quotes. A quotation mark without its partner is ignored."""
    parts = (next(filter(None, match.groups()), "") for match in _PART.finditer(typed))
    return [word for part in parts if as_line(word := _bare(part))]


def _bare(typed: str) -> str:
    """The typed text without the quotation marks, white space and invisible characters at its edges."""
    text = " ".join(typed.split())
    return text.strip(_QUOTES + "".join(filter(is_unseen, text)))


def validate_words(typed: str) -> None:
    """At most MOST_WORDS different words: each is looked for in several places and spellings."""
    if len(set(_words(typed))) > MOST_WORDS:
        raise ValidationError(
            _("Search for at most %(most)s words."), code="too_many_words", params={"most": MOST_WORDS}
        )


def has_words(typed: str) -> bool:
    """Whether the typed text contains anything to search for: a bare `CHG` does not count."""
    return any(as_line(word).upper().lstrip("#") != "CHG" for word in _words(typed))


def _spellings(text: str) -> set[str]:
    """The text with its accented letters as one character each and as two: either may be stored. One-line texts are
    stored without invisible characters, other texts with them."""
    return {unicodedata.normalize(form, each) for form in ("NFC", "NFD") for each in (text, as_line(text))}


def _has(word: str) -> Q:
    """The condition that the text contains `word`, in any of its spellings."""
    lookup = "begins" if _begins_a_word(as_line(word)) else "icontains"
    return reduce(or_, (Q((f"search_text__{lookup}", spelling)) for spelling in sorted(_spellings(word))))


def _begins_a_word(word: str) -> bool:
    """Whether `word` is so short that it is only looked for where a word begins."""
    has_own_sign = word[0] in _BEFORE and word[1:].isalnum()  # such as `#1`: a word begins within it
    return len(word) < WITHIN and not (has_own_sign or any(unicodedata.category(char) in _ANYWHERE for char in word))


def named(typed: str) -> Q:
    """The condition for the changes that `typed` names as a whole, for staff: by number, in any spelling, or by the id
    that a partner has for one."""
    name = _bare(typed)
    number = _NAMED.fullmatch(as_line(name))
    return (_is_number(number[1]) if number else Q(pk__in=[])) | identified(name)


def identified(name: str) -> Q:
    """The condition for the changes for which a partner has this id, in any spelling. For staff."""
    condition = Q(pk__in=[])
    for source in _sources if name else ():
        if source.is_id:
            # Compared with `SearchText`, which has an index and begins with a space. The condition of `_matching()` is
            # redundant, but before pg_trgm 1.6 the index does not serve the other one.
            is_same = reduce(or_, (Q(search_text__iexact=f" {spelling}") for spelling in _spellings(name)))
            condition |= Q(pk__in=_matching(source, name, None).filter(is_same).values("change"))
    return condition


def numbered(typed: str) -> Q:
    """The condition for the change with this number: `CHG0000219`, `#CHG219` or `219`. Other texts match nothing."""
    typed = as_line(typed)
    number = _NUMBER.fullmatch(typed)
    return _is_number(number[1] if number else typed.removeprefix("#"))


def _is_number(digits: str) -> Q:
    """The condition for the change with this number, written with all of its leading zeros or with none."""
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 20
    is_whole = len(digits) >= DIGITS or not digits.startswith("0")
    return Q(pk=int(digits)) if is_number and is_whole and 0 < int(digits) <= LARGEST_KEY else Q(pk__in=[])


def _numbered(digits: str) -> Q:
    """The condition for changes whose number begins with these digits, as ranges of the primary key."""
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
