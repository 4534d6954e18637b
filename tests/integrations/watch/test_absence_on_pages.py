"""Pages say that no worker, or no beat, was heard: to those who can do something about it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations.models import OutgoingOperation, SignOfLife
from integrations.workers import signs
from tests.factories import ChangeFactory
from tests.pages import text, web
from tests.rows import each_row

DESK, STATUS = "/", "/exchange/status/"
WORKER, BEAT = "celery -A casexchange worker", "celery -A casexchange beat"
DELIVERY, HOUSEKEEPING = "No worker delivers", "No worker does the housekeeping"
NO_BEAT = "Beat is not at work"


def heard(role: str, minutes: int) -> None:
    SignOfLife.objects.update_or_create(role=role, defaults={"seen_at": timezone.now() - timedelta(minutes=minutes)})


@pytest.fixture
def all_heard(db) -> None:
    for role in signs.ROLES:
        heard(role, 0)


def late(system) -> None:
    """An operation for the system that has been due for minutes."""
    ChangeFactory(owning_group=system.external_groups.first().group)
    OutgoingOperation.objects.update(next_try_at=timezone.now() - timedelta(minutes=5))


@each_row(
    ("silent", "told", "untold"),
    [
        ([signs.DELIVERY], [DELIVERY, WORKER], [HOUSEKEEPING, BEAT]),
        ([signs.HOUSEKEEPING], [HOUSEKEEPING, WORKER], [DELIVERY, BEAT]),
        ([signs.DELIVERY, signs.HOUSEKEEPING], [DELIVERY, HOUSEKEEPING, WORKER], [BEAT]),
        # Workers are heard at beat's sweeps, so it alone is missed.
        ([*signs.ROLES], [NO_BEAT, BEAT], [DELIVERY, HOUSEKEEPING, WORKER]),
    ],
)
def test_who_may_set_up_systems_reads_which_part_is_silent_since_when_and_how_to_start_it(
    alice, ingrid, acme, all_heard, silent, told, untold
):
    for role in silent:
        heard(role, 5)
    for address in (DESK, STATUS):
        page = web(ingrid).get(address)
        said = text(page)
        for words in (*told, "Last heard 5 minutes ago (", "manage.py doctor"):
            assert words in said, (address, words)
        for words in untold:
            assert words not in said, (address, words)
        assert "Nothing is stuck" not in said
        assert "manage.py doctor" not in text(web(alice).get(address))
    assert "Needs attention Not at work" in text(web(ingrid).get(DESK))


def test_an_installation_that_is_well_says_nothing(ingrid, acme, all_heard):
    assert "Nothing is stuck" in text(web(ingrid).get(DESK))
    assert "Not at work" not in text(web(ingrid).get(STATUS))


def test_a_worker_that_was_never_started_is_told_of_once_operations_are_late(ingrid, acme):
    assert "Not at work" not in text(web(ingrid).get(DESK))
    late(acme)
    for address in (DESK, STATUS):
        said = text(web(ingrid).get(address))
        assert NO_BEAT in said
        assert "Never heard. Nothing is retried or polled" in said
    heard(signs.BEAT, 0)
    assert f"{DELIVERY} Never heard. Operations are recorded, and wait." in text(web(ingrid).get(DESK))


def test_a_german_desk_says_it_in_german(ingrid, acme, all_heard):
    heard(signs.DELIVERY, 5)
    said = text(web(ingrid).get(DESK, headers={"accept-language": "de"}))
    assert "Kein Worker stellt zu Zuletzt vor 5 Minuten gehört (" in said
    assert f"Wer den Server betreibt, startet dies mit {WORKER}." in said
