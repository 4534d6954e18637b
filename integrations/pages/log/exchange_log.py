"""The exchange log: all operations in one direction, newest first, filtered by query parameters.

Keyset pagination: a page begins where the one before it ended, so no page counts or skips rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cached_property, reduce
from operator import itemgetter
from typing import Any
from uuid import UUID

from django import forms
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from changes.models import Change
from changes.pages.fields import FIRST, LAST, Minute, end_of
from changes.queries.keyset import MOMENT, UUID_KEY, Column, Order, Page, Place, page
from changes.queries.search import identified, numbered
from integrations.choices import SETTLED, DeliveryStatus, IncomingKind, IncomingStatus, Operation
from integrations.models import ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.pages.change_panel import IncomingRow, OutgoingRow, incoming_row, outgoing_row

PAGE_SIZE = 30
OPEN = "open"
# Conditions that each have their own index, so that a part of the log with one of them is read from that index.
_UNSETTLED = ~Q(status__in=SETTLED)
_SKIPPED = Q(status=DeliveryStatus.SKIPPED, skipped_by__isnull=False)


def _named(typed: str) -> list[int]:
    """The keys of the changes with this number (with or without leading zeros) or with this id at a partner."""
    # Two queries: with OR, the database would not use the index for ids.
    return [
        key
        for condition in (numbered(typed), identified(typed))
        for key in Change.objects.filter(condition).values_list("pk", flat=True)
    ]


class LogForm(forms.Form):
    """The filters. A value that is not among the choices makes the form invalid."""

    system = forms.ChoiceField(label=_("System"), required=False)
    status = forms.ChoiceField(label=_("Status"), required=False)
    operation = forms.ChoiceField(label=_("Operation"), required=False)
    change = forms.CharField(label=_("Change or external id"), required=False, max_length=255)
    # When the clocks go back, an hour occurs twice: the filter includes both.
    since = Minute(label=_("From"), required=False, of_two=FIRST)
    until = Minute(label=_("To"), required=False, of_two=LAST)
    error = forms.CharField(label=_("Error contains"), required=False, max_length=200)

    def __init__(self, parameters: Any, systems: Sequence[str], is_incoming: bool) -> None:
        super().__init__(parameters)
        fields: dict[str, Any] = self.fields
        fields["system"].choices = [("", _("Any system")), *((name, name) for name in systems)]
        statuses = IncomingStatus.choices if is_incoming else [(OPEN, _("Not settled")), *DeliveryStatus.choices]
        fields["status"].choices = [("", _("Any status")), *statuses]
        kinds = IncomingKind if is_incoming else Operation
        fields["operation"].choices = [("", _("Any operation")), *kinds.choices]

    @property
    def active(self) -> list[str]:
        """The names of the filters that narrow the log now."""
        return [name for name in self.fields if self.data.get(name) not in (None, "")]


# The key of a row in the log: the time and the id of an operation.
_Key = tuple[datetime, UUID]


class Log:
    """One page of the log in one direction, newest first.

    The query parameter `after` holds the place after which the page begins, `before` the place before which it ends.
    """

    def __init__(self, parameters: Any, is_incoming: bool) -> None:
        self.is_incoming = is_incoming
        self.model: Any = IncomingOperation if is_incoming else OutgoingOperation
        self.time = "received_at" if is_incoming else "created_at"
        self.systems = dict(ExternalSystem.objects.values_list("system_id", "pk"))
        self.form = LogForm(parameters, [*self.systems], is_incoming)
        self.parameters = parameters

    @property
    def direction(self) -> str:
        return "in" if self.is_incoming else "out"

    # --- The filters ---

    @cached_property
    def _parts(self) -> list[Q]:
        """Conditions whose union is the filtered log. One index yields the rows of each, newest first."""
        if not self.form.is_valid():
            return []
        asked = self.form.cleaned_data
        base = Q(**{"operation": asked["operation"]} if asked["operation"] else {})
        if asked["since"]:
            base &= Q(**{f"{self.time}__gte": asked["since"]})
        if asked["until"]:
            base &= Q(**{f"{self.time}__lt": end_of(asked["until"])})
        if asked["change"]:
            base &= Q(change__in=_named(asked["change"]))
        if self.is_incoming:
            return [base & self._incoming(asked)]
        parts = [base & part for part in self._outgoing(asked)]
        return parts if asked["change"] else [part & system for part in parts for system in self._each_system(asked)]

    def _incoming(self, asked: dict[str, Any]) -> Q:
        condition = Q(system=self.systems[asked["system"]]) if asked["system"] else Q()
        if asked["error"]:
            condition &= Q(status=IncomingStatus.FAILED, error__icontains=asked["error"])
        return condition & Q(status=asked["status"]) if asked["status"] else condition

    def _outgoing(self, asked: dict[str, Any]) -> list[Q]:
        status, error = asked["status"], asked["error"]
        chosen = Q(system=self.systems[asked["system"]]) if asked["change"] and asked["system"] else Q()
        if error:
            # A delivered operation has no error any more.
            said = Q(last_error__icontains=error) | Q(skip_reason__icontains=error)
            if status == DeliveryStatus.DELIVERED:
                return []
            if not status:
                return [chosen & _UNSETTLED & said, chosen & _SKIPPED & said]
            chosen &= said
        if status == OPEN:
            return [chosen & _UNSETTLED]
        if status == DeliveryStatus.SKIPPED:
            return [chosen & _SKIPPED]
        if status and status not in SETTLED:
            return [chosen & _UNSETTLED & Q(status=status)]
        return [chosen & Q(status=status) if status else chosen]

    def _each_system(self, asked: dict[str, Any]) -> list[Q]:
        wanted = [self.systems[asked["system"]]] if asked["system"] else [*self.systems.values()]
        return [Q(system=pk) for pk in wanted]

    # --- One page of it ---

    @cached_property
    def _order(self) -> Order:
        moment = Column(F(self.time), MOMENT, itemgetter(0))
        return Order((moment, Column(F("id"), UUID_KEY, itemgetter(1))), is_descending=True)

    @cached_property
    def page(self) -> Page[_Key]:
        """The keys of the operations of the page."""
        order = self._order
        after, before = (order.read(self.parameters.get(name, "")) for name in ("after", "before"))
        return page(order, self._load_keys, PAGE_SIZE, after=after, before=before)

    def _load_keys(self, order: Order, place: Place | None, limit: int) -> list[_Key]:
        if not self._parts:
            return []

        def first_of(condition: Q) -> Any:
            rows = order.sorted(order.beyond(self.model.objects.filter(condition), place))
            return rows.values_list(self.time, "id")[:limit]

        if len(self._parts) > 1 and connection.features.supports_slicing_ordering_in_compound:
            first, *others = map(first_of, self._parts)
            return list(order.sorted(first.union(*others, all=True))[:limit])
        return list(first_of(reduce(operator.or_, self._parts)))

    @cached_property
    def rows(self) -> list[OutgoingRow | IncomingRow]:
        keys = [key for _, key in self.page.rows]
        if not keys:
            return []
        found: QuerySet[Any]
        if self.is_incoming:
            found = IncomingOperation.objects.filter(pk__in=keys).with_system("change", "user")
            found = found.defer("payload", "result")
        else:
            found = OutgoingOperation.objects.filter(pk__in=keys).with_neighbours().select_related("change")
            found = found.defer("payload")
        by_key = {operation.pk: operation for operation in found}
        row: Callable[[Any], OutgoingRow | IncomingRow] = incoming_row if self.is_incoming else outgoing_row
        return [row(by_key[key]) for key in keys if key in by_key]

    # --- All of it ---

    def portions(self, size: int) -> Iterator[list[UUID]]:
        """The keys of all operations, of `size` at once, so that the length of the log needs no memory."""
        place = None
        while keys := self._load_keys(self._order, place, size):
            yield [key for _, key in keys]
            place = self._order.place_of(keys[-1])
