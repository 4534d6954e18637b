"""The differences between two versions of a text, for people: added and removed words with a little text around."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

SAME, OLD, NEW, GAP = "same", "old", "new", "gap"

# Longer texts (in lines) and passages (in words) are not compared, because it takes too long. They show as replaced.
MOST_LINES = 2_000
MOST_WORDS = 1_000
# Characters of unchanged text that are shown before and after a difference.
AROUND = 60
# Characters that a piece costs besides its text, for its tag.
TAG = 20
# From this length on, SequenceMatcher leaves frequent parts out.
FREQUENT_FROM = 200


@dataclass(frozen=True)
class Piece:
    """A part of a text: in both versions (same), only in one (old, new), or unchanged and not to be shown (gap)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Diff:
    """`added` and `removed` count words. `is_cut`: the pieces end early, or are left out altogether."""

    pieces: list[Piece]
    added: int = 0
    removed: int = 0
    is_cut: bool = False


@dataclass
class Effort:
    """What all comparisons for one page may still cost: steps of comparing, and characters to show.

    Partners write these texts, so the page must stay quick and small whatever they contain.
    """

    steps: int = 300_000
    characters: int = 60_000


def compare(old: str, new: str, effort: Effort) -> Diff:
    """The differences, as far as `effort` goes."""
    if effort.characters <= 0:
        return Diff([], is_cut=True)
    comparison = _Comparison(effort)
    pieces = list(_merged(comparison.lines(old.splitlines(keepends=True), new.splitlines(keepends=True))))
    shown = list(_shown(_shortened(pieces), effort))
    return Diff(
        pieces=shown,
        added=sum(len(piece.text.split()) for piece in pieces if piece.kind == NEW),
        removed=sum(len(piece.text.split()) for piece in pieces if piece.kind == OLD),
        is_cut=effort.characters <= 0,
    )


def _shown(pieces: Iterator[Piece], effort: Effort) -> Iterator[Piece]:
    """The pieces up to the characters that may be shown. Each costs some for its tag."""
    for piece in pieces:
        yield piece if piece.kind == GAP else Piece(piece.kind, piece.text[: max(0, effort.characters)])
        effort.characters -= TAG + (0 if piece.kind == GAP else len(piece.text))
        if effort.characters <= 0:
            return


class _Comparison:
    def __init__(self, effort: Effort) -> None:
        self._effort = effort

    def lines(self, old: list[str], new: list[str]) -> Iterator[Piece]:
        """Compares by line, then compares the replaced lines by word."""
        return self._compared(old, new, MOST_LINES, self._words)

    def _words(self, old: list[str], new: list[str]) -> Iterator[Piece]:
        before, after = (re.findall(r"\s+|\S+", "".join(lines)) for lines in (old, new))
        return self._compared(before, after, MOST_WORDS, _replaced)

    def _compared(
        self, old: list[str], new: list[str], most: int, differ: Callable[[list[str], list[str]], Iterator[Piece]]
    ) -> Iterator[Piece]:
        """`differ` compares the parts that are not equal. Beyond `most` parts, or the steps left, all is replaced."""
        # A word or line that is frequent in a long text is no anchor for the library; in a short text any may be.
        steps = len(old) * len(new) // (1 if len(new) < FREQUENT_FROM else 100)
        if max(len(old), len(new)) > most or steps > self._effort.steps:
            yield from _replaced(old, new)
            return
        self._effort.steps -= steps
        yield from self._matched(old, new, differ)

    def _matched(
        self, old: list[str], new: list[str], differ: Callable[[list[str], list[str]], Iterator[Piece]]
    ) -> Iterator[Piece]:
        for tag, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
            if tag == "equal":
                yield Piece(SAME, "".join(old[a:b]))
            else:
                yield from differ(old[a:b], new[c:d])


def _replaced(old: list[str], new: list[str]) -> Iterator[Piece]:
    if old:
        yield Piece(OLD, "".join(old))
    if new:
        yield Piece(NEW, "".join(new))


def _merged(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Joins neighbours of the same kind into one piece."""
    last: Piece | None = None
    for piece in pieces:
        if last is not None and last.kind == piece.kind:
            last = Piece(last.kind, last.text + piece.text)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def _shortened(pieces: list[Piece]) -> Iterator[Piece]:
    """Replaces the middle of long unchanged pieces by a gap."""
    for place, piece in enumerate(pieces):
        before = AROUND if place > 0 else 0
        after = AROUND if place < len(pieces) - 1 else 0
        left_out = len(piece.text) - before - after
        if piece.kind != SAME or left_out <= AROUND:
            yield piece
            continue
        if before:
            yield Piece(SAME, piece.text[:before])
        yield Piece(GAP, piece.text[before : len(piece.text) - after])
        if after:
            yield Piece(SAME, piece.text[-after:])
