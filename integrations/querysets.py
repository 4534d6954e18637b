"""Rows of the exchange by what is asked of them, in the words of their partial indexes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db.models import BooleanField, CharField, Count, Func, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat

from .choices import SETTLED, DeliveryStatus

SECRETS = ("signing_secret", "previous_signing_secret")


class Unsettled(Func):
    """`exclude(status__in=SETTLED)` with the values in the words of the partial index: SQLite does not take the index
    when they are parameters of an IN."""

    template = "NOT (%(expressions)s IN ({}))".format(", ".join(f"'{status.value}'" for status in SETTLED))
    output_field = BooleanField()


class SystemQuerySet(QuerySet):
    def without_secrets(self) -> Self:
        """To decrypt them takes time, and no page shows them."""
        return self.defer(*SECRETS)


class OfSystemQuerySet(QuerySet):
    """Rows that belong to a system, by their field `system`."""

    def with_system(self, *related: str) -> Self:
        """Loads the system of each, and `related`, but no secret."""
        return self.select_related("system", *related).defer(*(f"system__{name}" for name in SECRETS))

    def with_control(self, *related: str) -> Self:
        """The same with what controls the delivery to the system, which `standing.flow` reads."""
        return self.with_system("system__control", *related)


def operation_name() -> Concat:
    """An operation as people call it: `Assign 1`."""
    return Concat("operation", Value(" "), Cast("sequence", CharField()), output_field=CharField())


class OutgoingQuerySet(OfSystemQuerySet):
    def unsettled(self) -> Self:
        """What was neither delivered nor skipped."""
        return self.filter(Unsettled("status"))

    def due(self, now: datetime) -> Self:
        """The next ones of their exchanges whose time has come."""
        return self.filter(status=DeliveryStatus.WAITING, is_next=True, next_try_at__lte=now)

    def with_neighbours(self) -> Self:
        """Adds what an operation waits behind (`blocker`, as in `Assign 1`) and how many wait behind it (`behind`)."""
        # By their partial index: a change may have very many operations that are settled.
        same: Any = self.model._default_manager.filter(Unsettled("status"), exchange=OuterRef("exchange"))
        first = same.filter(sequence__lt=OuterRef("sequence")).order_by("sequence").annotate(name=operation_name())
        behind = same.filter(sequence__gt=OuterRef("sequence")).order_by().values("exchange").annotate(n=Count("pk"))
        return self.annotate(
            blocker=Coalesce(Subquery(first.values("name")[:1]), Value("")),
            behind=Coalesce(Subquery(behind.values("n")), Value(0)),
        ).with_control("skipped_by")
