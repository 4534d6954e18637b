"""Shared fixtures of the exchange log tests: changes at two partners, time windows, extreme times."""

from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Comment, Preferences
from tests.factories import ChangeFactory

NOW = timezone.now().replace(microsecond=0, second=0)


@pytest.fixture
def given(acme):
    """A change that was given to ACME, with a recorded Assign."""
    return ChangeFactory(owning_group=acme.external_groups.get().group)


@pytest.fixture
def to_beta(beta):
    return ChangeFactory(owning_group=beta.external_groups.get().group)


def comment(change, count=1):
    for number in range(count):
        Comment(change=change, author=change.requested_by, body=f"Remark {number}").save()


def window(minutes_from, minutes_to, system=""):
    return {
        "system": system,
        "since": f"{NOW - timedelta(minutes=minutes_from):%Y-%m-%dT%H:%M}",
        "until": f"{NOW - timedelta(minutes=minutes_to):%Y-%m-%dT%H:%M}",
    }


NOBODY = "00000000-0000-0000-0000-000000000000"


FAR = ["0001-01-01T00:00", "0001-01-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59", "9999-12-31T23:59-12:00"]


@pytest.fixture(params=["Europe/Berlin", "Etc/GMT+12", "Etc/GMT-14"])
def zone(request, ingrid):
    Preferences.objects.update_or_create(user=ingrid, defaults={"time_zone": request.param})
