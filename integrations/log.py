"""The exchange log: all operations in either direction, filtered by the address."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from .choices import SETTLED, DeliveryStatus, IncomingKind, IncomingStatus, Operation
from .models import ExternalSystem, IncomingOperation, OutgoingOperation
from .panels import with_neighbours

OPEN = "open"


def _verbatim(choices: Any) -> list[tuple[str, str]]:
    return [(value, value) for value in choices.values]


class _LogFilter(django_filters.FilterSet):
    system = django_filters.ModelChoiceFilter(
        label="System",
        field_name="system",
        to_field_name="system_id",
        queryset=ExternalSystem.objects.all(),
        empty_label="Any system",
    )
    change = django_filters.CharFilter(label="Change", method="of_change")

    def of_change(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(change__number=value.strip().upper())

    @property
    def active(self) -> list[str]:
        return [name for name in self.filters if self.data.get(name) not in (None, "")]


class OutgoingFilter(_LogFilter):
    status = django_filters.ChoiceFilter(
        label="Status",
        choices=[(OPEN, "Not settled"), *_verbatim(DeliveryStatus)],
        empty_label="Any status",
        method="by_status",
    )
    operation = django_filters.ChoiceFilter(
        label="Operation", choices=_verbatim(Operation), empty_label="Any operation"
    )

    class Meta:
        model = OutgoingOperation
        fields: list[str] = []

    def by_status(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.exclude(status__in=SETTLED) if value == OPEN else queryset.filter(status=value)


class IncomingFilter(_LogFilter):
    status = django_filters.ChoiceFilter(label="Status", choices=_verbatim(IncomingStatus), empty_label="Any status")
    operation = django_filters.ChoiceFilter(
        label="Operation", choices=_verbatim(IncomingKind), empty_label="Any operation"
    )

    class Meta:
        model = IncomingOperation
        fields: list[str] = []


def outgoing(parameters: Any) -> OutgoingFilter:
    # Ids are UUIDv7: by id is by time, on the index of the primary key.
    return OutgoingFilter(
        parameters, queryset=with_neighbours(OutgoingOperation.objects.all()).select_related("change")
    )


def incoming(parameters: Any) -> IncomingFilter:
    return IncomingFilter(parameters, queryset=IncomingOperation.objects.select_related("system", "user", "change"))
