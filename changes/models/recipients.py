"""Recipients of a public comment or a file: the partners that another app sends it to.

A page names them before a person sends something, and its form carries these names. If more partners would receive it
when the form arrives, the save is refused until the person has seen them too. The check holds the change's row lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from changes.exceptions import RecipientsUnseen

from .record import Change

# The form field with the names that the page showed.
FIELD = "recipients"

Source = Callable[[Change], Iterable[str]]
# Pairs of functions: recipients under the row lock, and recipients for a page.
_sources: list[tuple[Source, Source]] = []


def offer(source: Source, shown: Source) -> None:
    """Adds a pair of functions that name recipients: `source` is called under the row lock, `shown` for a page."""
    _sources.append((source, shown))


def shown_on(change: Change) -> list[str]:
    """The partners that something public on this change would be sent to now, sorted. For a page."""
    return sorted({name for _, shown in _sources for name in shown(change)})


def as_field(names: Iterable[str]) -> str:
    """The names as the value of the form field. A name contains no space."""
    return " ".join(names)


def from_field(value: str | None) -> frozenset[str] | None:
    """The names that the page showed; None if there is no such field, as outside of pages."""
    return None if value is None else frozenset(value.split())


def refuse_unseen(change: Change, shown: Collection[str]) -> None:
    """Raises RecipientsUnseen if something public would be sent to a partner that is not in `shown`."""
    unseen = sorted({name for source, _ in _sources for name in source(change)} - {*shown})
    if unseen:
        raise RecipientsUnseen(unseen, is_more=bool(shown))
