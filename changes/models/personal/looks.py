"""What each person has seen of each change, for the marks of what is new since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.models.record import Change


class Look(models.Model):
    """A person's latest look at a change's page. `seen_until`: the change's last activity that the page showed."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="looks")
    change = models.ForeignKey(Change, on_delete=models.CASCADE, related_name="looks", db_index=False)
    seen_until = models.DateTimeField(_("seen until"))

    class Meta:
        verbose_name = _("look")
        verbose_name_plural = _("looks")
        constraints = [models.UniqueConstraint(fields=["change", "user"], name="one_look_per_person_and_change")]

    def __str__(self) -> str:
        return f"{self.user_id} at {self.change_id}"


def look(user_id: int, change: Change, until: datetime) -> datetime | None:
    """Notes that this person sees the change, up to its last activity `until` that the page shows.

    Returns until when they had seen it before; None if never.
    """
    known = looked(user_id, change)
    if known is None or known < until:
        Look.objects.bulk_create(
            [Look(user_id=user_id, change=change, seen_until=until)],
            update_conflicts=True,
            unique_fields=["change", "user"],
            update_fields=["seen_until"],
        )
    return known


def looked(user_id: int, change: Change) -> datetime | None:
    """Until when this person has seen the change; None if never."""
    return Look.objects.filter(user=user_id, change=change).values_list("seen_until", flat=True).first()


def news_since_looked(user_id: int, changes: Iterable[Change]) -> set[int]:
    """The keys of those of these changes that have news since this person looked at them. Others are not in it."""
    activity = {change.pk: change.last_activity_at for change in changes}
    looks = Look.objects.filter(user=user_id, change__in=activity).values_list("change", "seen_until")
    return {key for key, seen_until in looks if seen_until < activity[key]}
