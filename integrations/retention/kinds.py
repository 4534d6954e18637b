"""The kinds of old records, and what is removed of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from integrations.incoming import forgetting
from integrations.models import DeliveryAttempt, ExternalSystem, IncomingOperation
from integrations.outgoing.outbox import retiring

from . import archived, finished

Place = tuple[datetime, str] | None


class Kind(ABC):
    """`name`: of its archive. `setting`: after how many days it goes. `moment`: the field that tells its age."""

    name: str
    setting: str
    moment: str
    # How many at a time, in one transaction.
    batch = 100

    @property
    def key(self) -> str:
        """The key of its progress."""
        return self.name

    @abstractmethod
    def rows(self, before: datetime) -> QuerySet[Any]:
        """All that may go if it is older than `before`."""

    def others(self, rows: Sequence[Any], before: datetime) -> Sequence[Any]:
        """What may go now because these go."""
        return ()

    @abstractmethod
    def lines(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """What the archive keeps of these."""

    @abstractmethod
    def remove(self, rows: Sequence[Any]) -> int:
        """Removes them within the transaction of the caller. Returns how many records that concerns."""

    def old(self, before: datetime, place: Place) -> QuerySet[Any]:
        """Those older than `before` behind `place`, in order."""
        found = self.rows(before).filter(**{f"{self.moment}__lt": before})
        if place:
            at, key = place
            found = found.filter(Q(**{f"{self.moment}__gt": at}) | Q(**{self.moment: at, "pk__gt": key}))
        return found.order_by(self.moment, "pk")


class _OfSystem(Kind):
    """Of operations delivered to one system: their index is by system."""

    moment = "settled_at"

    def __init__(self, system: int) -> None:
        self.system = system

    @property
    def key(self) -> str:
        return f"{self.name}:{self.system}"

    def rows(self, before: datetime) -> QuerySet[Any]:
        return retiring.delivered_of(self.system)


class Attempts(_OfSystem):
    """The attempts of operations that were delivered so long ago."""

    name, setting = "attempts", "RETENTION_ATTEMPT_DAYS"

    def lines(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        found = DeliveryAttempt.objects.filter(operation__in=[row.pk for row in rows]).order_by("pk")
        return map(archived.values_of, found)

    def remove(self, rows: Sequence[Any]) -> int:
        return DeliveryAttempt.objects.filter(operation__in=[row.pk for row in rows]).delete()[0]


class Delivered(_OfSystem):
    """The content of operations that were delivered so long ago."""

    name, setting = "delivered", "RETENTION_DELIVERED_DAYS"

    def rows(self, before: datetime) -> QuerySet[Any]:
        return retiring.without_need(retiring.delivered_of(self.system), before)

    def others(self, rows: Sequence[Any], before: datetime) -> Sequence[Any]:
        return retiring.shared_by([row.pk for row in rows], before)

    def lines(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        return ({**archived.values_of(row), "payload": row.whole_payload} for row in rows)

    def remove(self, rows: Sequence[Any]) -> int:
        retiring.forget_content([row.pk for row in rows])
        return len(rows)


class IncomingBodies(Kind):
    """The bodies of incoming operations. Their keys, hashes and our answers stay, so a repeat is still known."""

    name, setting, moment = "incoming", "RETENTION_INCOMING_BODY_DAYS", "received_at"

    def rows(self, before: datetime) -> QuerySet[Any]:
        return IncomingOperation.objects.all()

    def lines(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        return map(archived.values_of, rows)

    def remove(self, rows: Sequence[Any]) -> int:
        return forgetting.forget_bodies([row.pk for row in rows])


class FinishedChanges(Kind):
    """Changes in a final phase without activity, with all that belongs to them."""

    name, setting, moment = "changes", "RETENTION_CHANGE_DAYS", "last_activity_at"
    batch = 20

    def rows(self, before: datetime) -> QuerySet[Any]:
        return finished.changes()

    def lines(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        return map(finished.archive, rows)

    def remove(self, rows: Sequence[Any]) -> int:
        finished.drop(rows)
        return len(rows)


def all_kinds() -> list[Kind]:
    systems = list(ExternalSystem.objects.order_by("pk").values_list("pk", flat=True))
    # Whole changes first, so that nothing else of them is archived by itself on the same day.
    of_systems = [kind(system) for system in systems for kind in (Attempts, Delivered)]
    return [FinishedChanges(), *of_systems, IncomingBodies()]
