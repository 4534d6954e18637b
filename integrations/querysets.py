"""Query sets of the exchange. Their conditions are worded as in the partial indexes, so that these are used."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.db.models import BooleanField, CharField, Count, Func, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Coalesce, Concat

from .choices import SETTLED, DeliveryStatus

SECRETS = ("signing_secret", "previous_signing_secret")


class Unsettled(Func):
    """`exclude(status__in=SETTLED)`, with the values written into the SQL as in the partial index.

    SQLite does not use the index if the values are parameters.
    """

    template = "NOT (%(expressions)s IN ({}))".format(", ".join(f"'{status.value}'" for status in SETTLED))
    output_field = BooleanField()


class SystemQuerySet(QuerySet):
    def without_secrets(self) -> Self:
        """Does not load the secrets: decrypting them takes time, and no page shows them."""
        return self.defer(*SECRETS)


class OfSystemQuerySet(QuerySet):
    """Rows that belong to a system through their field `system`."""

    def with_system(self, *related: str) -> Self:
        """Also loads each row's system, without its secrets, and the relations named in `related`."""
        return self.select_related("system", *related).defer(*(f"system__{name}" for name in SECRETS))

    def with_control(self, *related: str) -> Self:
        """As `with_system`, and also loads the system's `DeliveryControl`, which `standing.flow` reads."""
        return self.with_system("system__control", *related)


def operation_name() -> Concat:
    """The name of an operation for people, such as `Assign 1`: its kind and its sequence."""
    return Concat("operation", Value(" "), Cast("sequence", CharField()), output_field=CharField())


class OutgoingQuerySet(OfSystemQuerySet):
    def unsettled(self) -> Self:
        """Operations that were neither delivered nor skipped."""
        return self.filter(Unsettled("status"))

    def due(self, now: datetime) -> Self:
        """Waiting operations that are next in their exchange and whose next try is due."""
        return self.filter(status=DeliveryStatus.WAITING, is_next=True, next_try_at__lte=now)

    def with_neighbours(self) -> Self:
        """Adds `blocker`, the name of the first operation it waits behind ("" if none), and `behind`, how many wait
        behind it."""
        # Uses the partial index on unsettled operations: a change may have very many settled ones.
        same: Any = self.model._default_manager.filter(Unsettled("status"), exchange=OuterRef("exchange"))
        first = same.filter(sequence__lt=OuterRef("sequence")).order_by("sequence").annotate(name=operation_name())
        behind = same.filter(sequence__gt=OuterRef("sequence")).order_by().values("exchange").annotate(n=Count("pk"))
        return self.annotate(
            blocker=Coalesce(Subquery(first.values("name")[:1]), Value("")),
            behind=Coalesce(Subquery(behind.values("n")), Value(0)),
        ).with_control("skipped_by")
