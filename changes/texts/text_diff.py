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


@dataclass(frozen=True)
class Piece:
    """A part of a text: in both versions (same), only in one (old, new), or unchanged and not to be shown (gap)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Diff:
    """`added` and `removed` count words."""

    pieces: list[Piece]
    added: int
    removed: int


def compare(old: str, new: str) -> Diff:
    pieces = list(_merged(_lines(old.splitlines(keepends=True), new.splitlines(keepends=True))))
    return Diff(
        pieces=list(_shortened(pieces)),
        added=sum(len(piece.text.split()) for piece in pieces if piece.kind == NEW),
        removed=sum(len(piece.text.split()) for piece in pieces if piece.kind == OLD),
    )


def _lines(old: list[str], new: list[str]) -> Iterator[Piece]:
    """Compares by line, then compares the replaced lines by word."""
    return _compared(old, new, MOST_LINES, _words)


def _words(old: list[str], new: list[str]) -> Iterator[Piece]:
    before, after = (re.findall(r"\s+|\S+", "".join(lines)) for lines in (old, new))
    return _compared(before, after, MOST_WORDS, _replaced)


def _compared(
    old: list[str], new: list[str], most: int, differ: Callable[[list[str], list[str]], Iterator[Piece]]
) -> Iterator[Piece]:
    """`differ` compares the parts that are not equal. Beyond `most` parts all count as replaced: time grows squared."""
    if max(len(old), len(new)) > most:
        yield from _replaced(old, new)
        return
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
