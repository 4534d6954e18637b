"""News in a partner's answer on a change that another transaction holds. On SQLite nothing is held beside a drain."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from changes.models import Change
from integrations import tasks
from integrations.models import ExternalReference, OutgoingOperation
from integrations.outgoing import delivery
from tests.factories import ChangeFactory, SupportGroupFactory

from .partner import answer

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def held(change):
    """Another transaction holds the change, and ends without a word about it."""
    is_held, ends = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Change.objects.select_for_update(no_key=True).get(pk=change.pk)
            is_held.set()
            ends.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(10)
    try:
        yield
    finally:
        ends.set()
        thread.join()


def moment(change):
    return Change.objects.get(pk=change.pk).last_activity_at


@pytest.mark.parametrize("is_held_longer", [False, True])
def test_news_arrive_as_soon_as_the_change_is_free(acme, partner, is_held_longer):
    partner.default = answer(200, {"external_id": "A-1"})
    change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
    before = moment(change)
    with held(change):
        delivery.drain()
        assert OutgoingOperation.objects.get().status == "Delivered"
        if is_held_longer:
            tasks.release_stale()
        assert moment(change) == before
    tasks.release_stale()
    reference = ExternalReference.objects.get()
    assert before < moment(change) <= reference.updated_at
    assert tasks.release_stale() == 0


def test_what_is_noted_never_moves_the_activity_back(acme, partner):
    partner.default = answer(200, {"external_id": "A-1"})
    change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
    with held(change):
        delivery.drain()
    change.refresh_from_db()
    change.title = "Saved since"
    change.save()
    saved = moment(change)
    tasks.release_stale()
    assert moment(change) == saved
    assert tasks.release_stale() == 0
