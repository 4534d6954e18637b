"""Places on pages where another app adds its own parts, as in `{% parts "change.panels" %}`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.template import Context

# Every place, with its description and the names that it adds to the context of the page.
PLACES = {
    "desk.now": "the part of the desk that updates by itself",
    "desk.traffic": "the desk's charts",
    "list.head": "above the rows of the list: filter (ChangeFilter), tidy (the filters)",
    "list.row": "a row of the list: change, page",
    "change.holder": "the head of a change, behind its owning group: change",
    "change.panels": "the panels beside a change: change",
    "move.sends": "a transition that can be made: change",
    "abandon.sends": "a change that is abandoned: change, code",
    "edit.sends": "a form that is edited: stored (None for a new change), draft",
    "comment.sends": "the form of a public comment: change",
    "file.sends": "the form of files: change",
    "account.tokens": "a person's own page of sign-in and security",
    "account.password": "the form of a new password: owner",
    "account.sessions": "the button that signs out everywhere else: owner",
}


def _nothing(context: Context) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Part:
    """A part of a page. Its template has the context of the place, and what `values` returns for that context."""

    template: str
    values: Callable[[Context], dict[str, Any]] = _nothing


_offered: dict[str, list[Part]] = {place: [] for place in PLACES}


def offer(place: str, part: Part) -> None:
    """Adds a part to a place. Raises KeyError for an unknown place."""
    _offered[place].append(part)


def at(place: str) -> list[Part]:
    """The parts of a place, in the order in which they were offered."""
    return _offered[place]
