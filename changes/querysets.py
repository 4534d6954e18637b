"""Named filters over change records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from django.db import models
from django.db.models import Q

from .choices import FINAL_PHASES, METAPHASES, Metaphase

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class AnnouncedQuerySet(models.QuerySet):
    """Rows are written one by one by `save()`, whose signals the exchange hangs on.

    The bulk calls of a plain QuerySet bypass these signals, so they are refused here.
    """

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} is written by save() only: a bulk write would send nothing.")

    update = bulk_create = bulk_update = aupdate = abulk_create = abulk_update = _refuse

    def delete(self) -> NoReturn:
        raise TypeError(f"{self.model._meta.verbose_name_plural} are kept.")


class ChangeQuerySet(AnnouncedQuerySet):
    def locked(self) -> Self:
        """Locks the rows for their editors. Rows that refer to a change are inserted without waiting for these.

        Nothing is joined: a row that was waited for would come with what the *old* one referred to.
        """
        return self.select_related(None).select_for_update(of=("self",), no_key=True)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """All for staff, none for anybody else. What a partner reaches: integrations/access.py."""
        return self if getattr(user, "is_staff", False) and user.is_active else self.none()

    def open(self) -> Self:
        return self.exclude(phase__in=FINAL_PHASES)

    def in_metaphase(self, metaphase: str) -> Self:
        return self.filter(phase__in=[phase for phase in METAPHASES if METAPHASES[phase] == Metaphase(metaphase)])

    def search(self, text: str) -> Self:
        """Changes whose number, title, description, service or category contains `text`."""
        fields = ("number", "title", "description", "service", "category")
        condition = Q()
        for field in fields:
            condition |= Q(**{f"{field}__icontains": text})
        return self.filter(condition)

    def with_people(self) -> Self:
        """Loads what a row of a list shows, in the same query."""
        return self.select_related("owning_group", "requested_by")
