"""Whom a public comment or a file reaches: another app that sends them says so.

A page names them before a person sends something, and its form carries what it named. What would reach anybody else
by the time it arrives is refused, under the lock of the change, until the person has seen that too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from changes.exceptions import RecipientsUnseen

from .record import Change

# The field of a form with the names that its page showed.
FIELD = "recipients"

Source = Callable[[Change], Iterable[str]]
# Whom something is sent to, and the same as a page has read it.
_sources: list[tuple[Source, Source]] = []


def offer(source: Source, shown: Source) -> None:
    """See changes/extensions.py."""
    _sources.append((source, shown))


def shown_on(change: Change) -> list[str]:
    """Whom something public on a change that a page shows is sent to now."""
    return sorted({name for _, shown in _sources for name in shown(change)})


def as_field(names: Iterable[str]) -> str:
    """The value of the field: names hold no space."""
    return " ".join(names)


def from_field(value: str | None) -> frozenset[str] | None:
    """What the page showed; None for what came from no page."""
    return None if value is None else frozenset(value.split())


def refuse_unseen(change: Change, shown: Collection[str]) -> None:
    """Raises RecipientsUnseen where something public would reach somebody who is not among `shown`."""
    unseen = sorted({name for source, _ in _sources for name in source(change)} - {*shown})
    if unseen:
        raise RecipientsUnseen(unseen, is_more=bool(shown))
