"""The number of changes that the filters match: exact up to a limit, beyond it the database's estimate."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.db import connection
from django.utils.formats import number_format

from changes.models import Change
from changes.queries.keyset import Page
from changes.queries.querysets import ChangeQuerySet

from .filters import ChangeFilter
from .paging import Sort

# Counting so many takes a few milliseconds, and up to 80 ms where each change is checked for its partner.
COUNTED = 5_000
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
    """Makes no query if the page shows all, and at most two otherwise."""
    if page.is_first and not page.next:
        return Total(len(page.rows))
    if filterset.is_by_words:
        # All that match a word are found before the first is counted.
        return Total(len(page.rows), is_more=True)
    found = sort.narrowed(filterset.qs).order_by()
    number = found[: COUNTED + 1].count()
    return Total(number) if number <= COUNTED else _estimate(found, {*filterset.active} <= ESTIMATED)


def _estimate(found: ChangeQuerySet, is_known: bool) -> Total:
    """The estimate of the planner with three digits, if it can know. SQLite makes none."""
    if is_known and connection.vendor == "postgresql":
        number = int(json.loads(found.explain(format="json"))[0]["Plan"]["Plan Rows"])
        if number > COUNTED:
            return Total(int(float(f"{number:.3g}")), is_about=True)
    return Total(COUNTED, is_more=True)
