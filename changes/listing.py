"""The list of changes: filters that live in the URL, sorting, and paging."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import django_filters
from django import forms
from django.core.paginator import Paginator
from django.db.models import Case, F, IntegerField, OrderBy, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower

from .choices import ChangeType, CompletionCode, Metaphase, Phase, Priority
from .models import Change, SupportGroup
from .querysets import ChangeQuerySet

PAGE_SIZE = 50
# Beyond this a count costs more than it tells: the list then says "more than".
COUNTED = 10_000


def _verbatim(choices: Any) -> list[tuple[str, str]]:
    """The terms of the contract are shown as they are, not in other words."""
    return [(value, value) for value in choices.values]


class ChangeFilter(django_filters.FilterSet):
    """The filters of the list. Another app adds its own with `offer()`."""

    q = django_filters.CharFilter(label="Search", method="search")
    phase = django_filters.ChoiceFilter(choices=_verbatim(Phase), empty_label="Any phase")
    metaphase = django_filters.ChoiceFilter(
        label="Metaphase", choices=_verbatim(Metaphase), empty_label="Any metaphase", method="by_metaphase"
    )
    type = django_filters.ChoiceFilter(
        label="Type", field_name="change_type", choices=_verbatim(ChangeType), empty_label="Any type"
    )
    priority = django_filters.ChoiceFilter(choices=_verbatim(Priority), empty_label="Any priority")
    group = django_filters.ModelChoiceFilter(
        label="Owning group",
        field_name="owning_group",
        queryset=SupportGroup.objects.all(),
        empty_label="Any group",
        null_label="No group",
    )
    code = django_filters.ChoiceFilter(
        label="Completion code",
        field_name="completion_code",
        choices=_verbatim(CompletionCode),
        empty_label="Any code",
        null_label="Not set",
    )
    open = django_filters.BooleanFilter(
        label="Open only", method="only_open", widget=forms.CheckboxInput(attrs={"value": "true"})
    )

    class Meta:
        model = Change
        fields: list[str] = []

    def search(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return queryset.search(value)

    def by_metaphase(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return queryset.in_metaphase(value)

    def only_open(self, queryset: ChangeQuerySet, name: str, value: bool) -> ChangeQuerySet:
        return queryset.open() if value else queryset

    @property
    def active(self) -> list[str]:
        """The names of the filters that narrow the list now."""
        return [name for name in self.filters if self.data.get(name) not in (None, "")]

    @property
    def active_selects(self) -> list[str]:
        """Those of them that are folded away on a narrow screen."""
        return [name for name in self.active if name not in ("q", "open")]


def offer(name: str, filter_: django_filters.Filter) -> None:
    """Adds a filter of another app to the list, under `name` in the URL. Called once, when the app is ready."""
    ChangeFilter.base_filters[name] = filter_


def _rank(field: str, values: list[str]) -> Case:
    """The place of a value among `values`, so that phases sort as they follow and priorities by weight."""
    whens = [When(**{field: value}, then=Value(place)) for place, value in enumerate(values)]
    return Case(*whens, default=Value(len(values)), output_field=IntegerField())


SORTS: dict[str, Combinable] = {
    "number": F("id"),
    "title": Lower("title"),
    "type": F("change_type"),
    "phase": _rank("phase", Phase.values),
    "priority": _rank("priority", Priority.values),
    "group": Lower("owning_group__name"),
    "updated": F("updated_at"),
}
DEFAULT_SORT = "-number"


def sort(queryset: ChangeQuerySet, wanted: str) -> tuple[ChangeQuerySet, str]:
    """The queryset in that order, and the order that was taken: an unknown one gives the newest first."""
    name = wanted.removeprefix("-")
    if name not in SORTS:
        wanted, name = DEFAULT_SORT, "number"
    descending = wanted.startswith("-")
    # Only a group can be missing; for the other columns NULLS LAST would keep PostgreSQL from using an index.
    expression: Any = SORTS[name]
    order = OrderBy(expression, descending=descending, nulls_last=True if name == "group" else None)
    return queryset.order_by(order, "-id" if descending else "id"), wanted


class CappedPaginator(Paginator):
    """Counts no further than `COUNTED`."""

    object_list: QuerySet

    @cached_property
    def count(self) -> int:
        return min(self._counted, COUNTED)

    @cached_property
    def _counted(self) -> int:
        return self.object_list.order_by()[: COUNTED + 1].count()

    @property
    def is_capped(self) -> bool:
        return self._counted > COUNTED
