"""What code gives a new record arrives in its row, whatever its type: SQL that is composed once inserts it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from django.utils.translation import gettext_lazy

from changes.choices import ChangeType, Impact, Risk, Urgency, Visibility
from changes.models import Change, Comment
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))


class Spelt(str):
    """A text of another class."""


# The value that is given, and that of the row.
VALUES = {
    "title": (gettext_lazy("Close"), "Close"),
    "description": (Spelt("Zürich"), "Zürich"),
    "change_type": (ChangeType.EMERGENCY, "Emergency"),
    "category": ("  two\nlines ", "two lines"),
    "risk": (Risk.HIGH, "High"),
    "completion_code": (None, None),
    "business_impact": (Impact.ENTERPRISE, "Enterprise"),
    "urgency": (Urgency.SEVERE_DISRUPTION, "SevereDisruption"),
    "planned_start": (AT, AT),
    "planned_end": (AT + timedelta(hours=1), AT + timedelta(hours=1)),
    "actual_end": (None, None),
}


def test_values_of_all_types_arrive():
    group, user = SupportGroupFactory(), UserFactory()
    change = Change(**{name: given for name, (given, _) in VALUES.items()}, owning_group=group, requested_by=user)
    change.save()
    (row,) = Change.objects.filter(pk=change.pk).values()
    assert {name: row[name] for name in VALUES} == {name: kept for name, (_, kept) in VALUES.items()}
    assert (row["owning_group_id"], row["requested_by_id"], row["priority"]) == (group.pk, user.pk, "High")


def test_the_record_gets_what_the_database_gives():
    change = ChangeFactory()
    stored = Change.objects.get(pk=change.pk)
    assert (change.number, change.last_activity_at) == (stored.number, stored.last_activity_at)
    assert (change.created_at, change.updated_at) == (stored.created_at, stored.updated_at)


def test_a_record_with_a_key_of_its_own_keeps_it():
    change = ChangeFactory()
    comment = Comment(pk=1_000_000, change=change, author=UserFactory(), body="Hello", visibility=Visibility.PRIVATE)
    comment.save()
    (row,) = Comment.objects.values("pk", "change_id", "body", "visibility")
    assert row == {"pk": 1_000_000, "change_id": change.pk, "body": "Hello", "visibility": "private"}
