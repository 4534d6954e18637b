"""Named filters over change records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self

from django.db import connection, models
from django.db.models import Case, IntegerField, Q, Value, When
from django.db.models.functions import Lower

from ..choices import FINAL_PHASES, METAPHASES, Metaphase, Priority
from .search import SearchText, named, reading
from .windows import planned_within

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


# The rank of a priority, 0 for the most urgent. `change_desk` and `change_priority` are indexes on this expression.
PRIORITY_RANK = Case(
    *(When(priority=value, then=Value(place)) for place, value in enumerate(Priority.values[:-1])),
    default=Value(len(Priority.values) - 1),
    output_field=IntegerField(),
)


# The planned start, in an order, of a change that is not planned yet: after all planned ones.
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class PlannedStart(models.Func):
    """The planned start, or NEVER if there is none. `change_planned_start` is an index on it.

    The time is a literal and not a parameter, because SQLite uses an index only for exactly the same expression.
    """

    function = "COALESCE"
    template = f"COALESCE(%(expressions)s, '{NEVER:%Y-%m-%d %H:%M:%S}+00'::timestamptz)"
    output_field = models.DateTimeField()

    def __init__(self, expression: Any = "planned_start") -> None:
        super().__init__(expression)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        template = f"COALESCE(%(expressions)s, '{NEVER:%Y-%m-%d %H:%M:%S}')"
        return super().as_sql(compiler, connection, template=template, **extra)


PLANNED_START = PlannedStart()


def rows_of_each(parts: Sequence[ChangeQuerySet], *columns: str) -> list[tuple[Any, ...]]:
    """These columns of the changes of all parts, in one query and in no particular order. Each part may be sliced."""
    if not connection.features.supports_slicing_ordering_in_compound:
        parts = [part.model._default_manager.filter(pk__in=part.values("pk")).order_by() for part in parts]
    first, *others = (part.values_list(*columns) for part in parts)
    return list(first.union(*others, all=True))


class AnnouncedQuerySet(models.QuerySet):
    """A queryset whose rows are written one by one by `save()`, because the exchange depends on its signals.

    The bulk calls of a plain QuerySet bypass these signals, so they raise TypeError here. So does `delete()`.
    """

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is written by save() only: a bulk write would send nothing.")

    update = bulk_create = bulk_update = aupdate = abulk_create = abulk_update = _refuse

    def delete(self) -> NoReturn:
        raise TypeError(f"{self.model._meta.verbose_name_plural} are never deleted.")


class ChangeQuerySet(AnnouncedQuerySet):
    def locked(self) -> Self:
        """Locks the rows until the transaction ends. Inserting rows that refer to a change does not wait for the lock.

        Relations are not joined: after a wait for the lock, they would still be those of the row's old version.
        """
        return self.select_related(None).select_for_update(of=("self",), no_key=True)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """All changes for active staff, none for anybody else. For partners see integrations/access.py."""
        return self if getattr(user, "is_staff", False) and user.is_active else self.none()

    def open(self) -> Self:
        return self.exclude(phase__in=FINAL_PHASES)

    def in_metaphase(self, metaphase: str) -> Self:
        return self.filter(phase__in=[phase for phase in METAPHASES if METAPHASES[phase] == Metaphase(metaphase)])

    def on_service(self, services: Iterable[str]) -> Self:
        """Changes on one of these services, which are compared without regard to capitals and white space around."""
        names = {" ".join(service.split()) for service in services}
        # SQLite lowers only ASCII, so a name as it is spelled must match too.
        same = Q(service__in=names) | Q(lower_service__in={name.lower() for name in names})
        return self.alias(lower_service=Lower("service")).filter(same)

    def find(self, typed: str, viewer: Collection[models.Model] | None = None, *, is_by_row: bool = False) -> Self:
        """Changes in which every typed word is found, within what `viewer` may see. See `search.reading()`."""
        everything = self.__class__(self.model, using=self.db).alias(search_text=SearchText())
        condition = reading(typed, everything, viewer, is_by_row=is_by_row)
        return self.alias(search_text=SearchText()).filter(condition)

    def named(self, typed: str) -> Any | None:
        """The one change that staff name by `typed`: its number in any spelling, or an external id. Else None."""
        found = list(self.filter(named(typed))[:2])
        return found[0] if len(found) == 1 else None

    def planned_within(self, start: datetime | None, end: datetime | None) -> Self:
        """Changes whose planned window overlaps the time from `start` to before `end`: see windows.py."""
        return self.filter(planned_within(start, end))

    def for_rows(self) -> Self:
        """Loads what a row of a list shows, in one query, without the long texts."""
        return self.select_related("owning_group").defer(
            "description", "reason", "justification", "implementation_plan", "backout_plan"
        )

    def with_people(self) -> Self:
        """Loads the owning group and the requester in the same query."""
        return self.select_related("owning_group", "requested_by")
