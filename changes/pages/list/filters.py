"""The filters of the list of changes. They are in the URL, so every filtered list can be linked to.

Code that works on all changes that some filters match calls `matching()`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any

import django_filters
from django import forms
from django.db.models import BooleanField, CharField, Exists, F, OuterRef, QuerySet, Value
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes import steps
from changes.actor import Person
from changes.choices import ChangeType, CompletionCode, Metaphase, Phase, Priority
from changes.models import Change, SavedFilter, SupportGroup
from changes.queries.querysets import ChangeQuerySet
from changes.queries.search import has_words, validate_words
from changes.texts import moments
from changes.validators import FIRST_YEAR, LAST_YEAR, validate_text

from .paging import DEFAULT

SEARCH_MAX_LENGTH = 200
MINE, NOTHING = "mine", "null"
TO_APPROVE, TO_DEPLOY = "approval", "deploy"


DAYS = ("planned_from", "planned_to", "active_since")


class InvalidFilter(ValueError):  # noqa: N818 - says the state, as the other exceptions do
    """An address has a filter with an invalid value. `errors` has the messages by filter."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__(" ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items()))


# --- Filters whose values are records ---


@dataclass(frozen=True)
class Option:
    """A record that can be chosen. The filter defines the meaning of `flag`."""

    key: int
    label: str
    flag: bool = False


@dataclass(frozen=True)
class Chip:
    """A filter that is set. `without`: the query of the list without it."""

    label: str
    value: str
    without: str


@dataclass
class Options:
    """The options of all filters for one person, and the filters that the person saved. Read with one query."""

    by_filter: dict[str, list[Option]] = field(default_factory=dict)
    saved: list[SavedFilter] = field(default_factory=list)


class OptionFilter(django_filters.ChoiceFilter):
    """A filter whose values are records.

    `options` returns the records to offer, given the requested value: rows with `key`, `label` and `flag`. `narrow`
    filters the changes by the chosen one.
    """

    def __init__(
        self,
        *,
        options: Callable[[str], QuerySet[Any]],
        narrow: Callable[[ChangeQuerySet, Option], ChangeQuerySet],
        **extra: object,
    ) -> None:
        super().__init__(**extra)
        self.options = options
        self.narrow = narrow
        self.found: list[Option] = []

    def take(self, found: list[Option]) -> None:
        self.found = found
        self.extra["choices"] = [(self.value_of(option), option.label) for option in found]

    def value_of(self, option: Option) -> str:
        """The value for this option in the address."""
        return option.label

    def chosen(self, value: str) -> Option | None:
        return next((option for option in self.found if self.value_of(option) == value), None)

    def filter(self, queryset: ChangeQuerySet, value: str) -> ChangeQuerySet:
        chosen = self.chosen(value)
        return self.narrow(queryset, chosen) if chosen else queryset


class GroupFilter(OptionFilter):
    """A filter for a group, for the person's own groups, or for no group. `flag`: the person is a member."""

    def value_of(self, option: Option) -> str:
        return str(option.key)

    def take(self, found: list[Option]) -> None:
        super().take(found)
        special = [(MINE, _("My groups")), (NOTHING, _("No group"))]
        self.extra["choices"] = [*special, *self.extra["choices"]]

    def filter(self, queryset: ChangeQuerySet, value: str) -> ChangeQuerySet:
        if value == MINE:
            return queryset.filter(owning_group__in=[option.key for option in self.found if option.flag])
        if value == NOTHING:
            return queryset.filter(owning_group=None)
        return super().filter(queryset, value)


def _groups(value: str) -> QuerySet[Any]:
    return SupportGroup.objects.annotate(key=F("pk"), label=F("name"))


# --- The filters ---


class ListForm(forms.Form):
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("planned_from"), cleaned.get("planned_to")
        for name in DAYS:
            day = cleaned.get(name)
            if day and not FIRST_YEAR <= day.year <= LAST_YEAR:
                values = {"first": FIRST_YEAR, "last": LAST_YEAR}
                self.add_error(name, _("Give a year from %(first)s to %(last)s.") % values)
        if start and end and end < start:
            self.add_error("planned_to", _("The last day must not be before the first one."))
        return cleaned


class ChangeFilter(django_filters.FilterSet):
    """The filters of the list. Another app adds its own with `offer()`."""

    q = django_filters.CharFilter(
        label=gettext_lazy("Search"),
        method="search",
        max_length=SEARCH_MAX_LENGTH,
        validators=[validate_text, validate_words],
    )
    phase = django_filters.ChoiceFilter(
        label=gettext_lazy("Phase"), choices=Phase.choices, empty_label=gettext_lazy("Any phase")
    )
    metaphase = django_filters.ChoiceFilter(
        label=gettext_lazy("Metaphase"),
        choices=Metaphase.choices,
        empty_label=gettext_lazy("Any metaphase"),
        method="by_metaphase",
    )
    type = django_filters.ChoiceFilter(
        label=gettext_lazy("Type"),
        field_name="change_type",
        choices=ChangeType.choices,
        empty_label=gettext_lazy("Any type"),
    )
    priority = django_filters.ChoiceFilter(
        label=gettext_lazy("Priority"), choices=Priority.choices, empty_label=gettext_lazy("Any priority")
    )
    group = GroupFilter(
        label=gettext_lazy("Owning group"),
        options=_groups,
        narrow=lambda queryset, option: queryset.filter(owning_group=option.key),
        empty_label=gettext_lazy("Any group"),
    )
    service = django_filters.CharFilter(
        label=gettext_lazy("Service"), method="by_service", max_length=200, validators=[validate_text]
    )
    code = django_filters.ChoiceFilter(
        label=gettext_lazy("Completion code"),
        field_name="completion_code",
        choices=CompletionCode.choices,
        empty_label=gettext_lazy("Any code"),
        null_label=gettext_lazy("Not set"),
    )
    step = django_filters.ChoiceFilter(
        label=gettext_lazy("Next step"),
        choices=[
            (TO_APPROVE, gettext_lazy("Waiting for my approval")),
            (TO_DEPLOY, gettext_lazy("Ready to deploy")),
        ],
        empty_label=gettext_lazy("Any step"),
        method="by_step",
    )
    planned_from = django_filters.DateFilter(label=gettext_lazy("Planned from"), method="as_window")
    planned_to = django_filters.DateFilter(label=gettext_lazy("Planned to"), method="as_window")
    active_since = django_filters.DateFilter(label=gettext_lazy("Active since"), method="by_activity")
    open = django_filters.BooleanFilter(
        label=gettext_lazy("Open only"), method="only_open", widget=forms.CheckboxInput(attrs={"value": "true"})
    )
    requested = django_filters.BooleanFilter(
        label=gettext_lazy("Requested by me"),
        method="requested_by_me",
        widget=forms.CheckboxInput(attrs={"value": "me"}),
    )

    class Meta:
        model = Change
        fields: list[str] = []
        form = ListForm

    def __init__(self, data: QueryDict, user: Person) -> None:
        super().__init__(data, queryset=Change.objects.visible_to(user))
        self.user = user
        self.is_by_row = False
        for name, filter_ in self._with_options.items():
            filter_.take(self.options.by_filter.get(name, []))
        for name in DAYS:
            self.filters[name].extra["widget"] = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def search(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return queryset.find(value, is_by_row=self.is_by_row)

    def by_metaphase(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return queryset.in_metaphase(value)

    def by_service(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return queryset.on_service([value])

    def by_activity(self, queryset: ChangeQuerySet, name: str, value: date) -> ChangeQuerySet:
        return queryset.filter(last_activity_at__gte=_midnight(value))

    def by_step(self, queryset: ChangeQuerySet, name: str, value: str) -> ChangeQuerySet:
        return steps.waiting_for(self.user, queryset) if value == TO_APPROVE else steps.ready_to_deploy(queryset)

    def only_open(self, queryset: ChangeQuerySet, name: str, value: bool) -> ChangeQuerySet:
        return queryset.open() if value else queryset

    def requested_by_me(self, queryset: ChangeQuerySet, name: str, value: bool) -> ChangeQuerySet:
        return queryset.filter(requested_by=self.user.pk) if value else queryset

    def as_window(self, queryset: ChangeQuerySet, name: str, value: date) -> ChangeQuerySet:
        """Does nothing: `filter_queryset()` applies both ends of the window together."""
        return queryset

    def filter_queryset(self, queryset: ChangeQuerySet) -> ChangeQuerySet:
        found = super().filter_queryset(queryset)
        start, end = (self.form.cleaned_data[name] for name in ("planned_from", "planned_to"))
        if start is None and end is None:
            return found
        after = _midnight(end + timedelta(days=1)) if end else None
        return found.planned_within(_midnight(start) if start else None, after)

    @property
    def _with_options(self) -> dict[str, OptionFilter]:
        return {name: filter_ for name, filter_ in self.filters.items() if isinstance(filter_, OptionFilter)}

    @cached_property
    def options(self) -> Options:
        saved = SavedFilter.objects.filter(user=self.user.pk)
        rows = [saved.annotate(kind=_text(""), key=F("pk"), label=F("name"), text=F("query"), flag=_NO)]
        memberships = SupportGroup.members.through.objects.filter(supportgroup=OuterRef("pk"), user=self.user.pk)
        for name, filter_ in self._with_options.items():
            wanted = self.data.get(name, "").replace("\x00", "")  # PostgreSQL raises an error for a NUL
            offered = filter_.options(wanted).annotate(kind=_text(name), text=_text(""))
            if isinstance(filter_, GroupFilter):
                offered = offered.annotate(flag=Exists(memberships))
            rows.append(offered)
        plain = [part.order_by().values_list("kind", "key", "label", "text", "flag") for part in rows]
        options = Options()
        for name, key, label, text, flag in plain[0].union(*plain[1:], all=True):
            if name:
                options.by_filter.setdefault(name, []).append(Option(key, label, bool(flag)))
            else:
                options.saved.append(SavedFilter(pk=key, name=label, query=text))
        options.saved.sort(key=lambda saved: saved.name.lower())
        for found in options.by_filter.values():
            found.sort(key=lambda option: option.label.lower())
        return options

    @property
    def active(self) -> list[str]:
        """The names of the filters that are set."""
        return [name for name in self.filters if self.data.get(name) not in (None, "")]

    @property
    def chips(self) -> list[Chip]:
        """The filters that are set, each in words and with the address of the list without it."""
        kept = tidy(self.data)
        found = []
        for name in kept:
            if name in self.filters and name not in self.form.errors:
                without = kept.copy()
                del without[name]
                found.append(
                    Chip(str(self.filters[name].label), self._in_words(name, str(kept[name])), without.urlencode())
                )
        return found

    def _in_words(self, name: str, value: str) -> str:
        """The value as a person reads it; "" for a box that is ticked."""
        field = self.form.fields[name]
        if isinstance(self.filters[name], django_filters.BooleanFilter):
            return ""
        if isinstance(field, forms.DateField):
            return moments.day(self.form.cleaned_data[name])
        return str(dict(getattr(field, "choices", ())).get(value, value))

    @property
    def active_selects(self) -> list[str]:
        """The active filters that are folded away on a narrow screen."""
        return [name for name in self.active if name not in ("q", "open")]

    @property
    def nearby(self) -> ChangeQuerySet:
        """The same changes as `qs`, by a query that is quick if it is limited to few changes."""
        self.is_by_row = True
        try:
            return self.filter_queryset(self.queryset.all())
        finally:
            self.is_by_row = False

    @property
    def is_by_words(self) -> bool:
        return has_words(self.data.get("q", ""))

    @property
    def is_scattered(self) -> bool:
        """Whether matching changes may be anywhere in the order, with no index to find them: see `paging.Walk`."""
        return self.is_by_words or bool({*DAYS, "service"} & {*self.active})


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _text(text: str) -> Value:
    return Value(text, CharField())


_NO = Value(False, BooleanField())


def offer(name: str, filter_: django_filters.Filter) -> None:
    """Adds a filter of another app to the list, under `name` in the URL. See changes/extensions.py."""
    ChangeFilter.base_filters[name] = filter_


def matching(query: str | QueryDict, user: Person) -> ChangeQuerySet:
    """The changes that the filters in this query string match, of those that `user` may see.

    Parameters other than filters, such as the order and the page, are ignored. Raises InvalidFilter.
    """
    filterset = ChangeFilter(QueryDict(query) if isinstance(query, str) else query, user)
    if not filterset.is_valid():
        raise InvalidFilter({name: list(errors) for name, errors in filterset.errors.items()})
    return filterset.qs


def tidy(data: QueryDict) -> QueryDict:
    """Only the filters and the order of an address, without empty ones, always in the same sequence."""
    kept = QueryDict(mutable=True)
    for name in (*ChangeFilter.base_filters, "sort"):
        value = data.get(name, "").strip()
        if value and (name, value) != ("sort", DEFAULT):
            kept[name] = value
    return kept
