"""The number of changes that the filters match: exact up to a limit, beyond it the database's estimate."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db import connection
from django.utils.formats import number_format

from changes.models import Change
from changes.queries.keyset import Page
from changes.queries.querysets import ChangeQuerySet

from . import paging
from .filters import ChangeFilter
from .paging import Sort

# Counting so many takes a few milliseconds, and up to 80 ms where each change is checked for its partner.
COUNTED = 5_000
# As COUNTED, for a search of words: each change that is counted is also searched.
WORDS_COUNTED = 1_000
# The filters by columns of the change itself, of which the planner keeps statistics. For others it may be wrong by far.
ESTIMATED = {"phase", "metaphase", "type", "priority", "group", "code", "open", "requested", "active_since"}


@dataclass(frozen=True)
class Total:
    """`is_about`: `number` is an estimate. `is_more`: there are more than `number`, and nobody knows how many."""

    number: int
    is_about: bool = False
    is_more: bool = False

    @property
    def shown(self) -> str:
        return number_format(self.number, force_grouping=True)


def total_of(filterset: ChangeFilter, sort: Sort, page: Page[Change]) -> Total:
    """Makes no query if the page shows all, and at most two otherwise. It counts to a limit."""
    if page.is_first and not page.next:
        return Total(len(page.rows))
    if filterset.is_by_words:
        return _of_words(filterset, sort)
    found = sort.narrowed(filterset.qs).order_by()
    number = found[: COUNTED + 1].count()
    return Total(number) if number <= COUNTED else _estimate(found, {*filterset.active} <= ESTIMATED)


def _of_words(filterset: ChangeFilter, sort: Sort) -> Total:
    """Counts a frequent word among the newest changes only, and a rare one by the index of words.

    The index finds all that match a word before the first is counted, which takes long for a frequent word. A rare one
    would have to be looked for in all changes.
    """
    newest = sort.narrowed(filterset.nearby).filter(paging.among_newest()).order_by()
    number = newest[: WORDS_COUNTED + 1].count()
    if number <= paging.PAGE_SIZE:
        number = sort.narrowed(filterset.qs).order_by()[: WORDS_COUNTED + 1].count()
    elif number <= WORDS_COUNTED and Change.objects.exclude(paging.among_newest()).exists():
        return Total(number, is_more=True)
    return Total(min(number, WORDS_COUNTED), is_more=number > WORDS_COUNTED)


def _estimate(found: ChangeQuerySet, is_known: bool) -> Total:
    """The estimate of the planner with three digits, if it can know. SQLite makes none."""
    if is_known and connection.vendor == "postgresql":
        number = int(json.loads(found.explain(format="json"))[0]["Plan"]["Plan Rows"])
        if number > COUNTED:
            return Total(int(float(f"{number:.3g}")), is_about=True)
    return Total(COUNTED, is_more=True)
