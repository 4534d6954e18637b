"""Eight people and partners and a worker write at once. Nobody gets the error that the database is locked.

SQLite has one writer at a time, and its settings must make the others wait.
"""

import threading

import pytest
from django.db import connection
from django.test import Client

from changes.models import Change, Comment
from integrations.models import IncomingOperation, OutgoingOperation
from integrations.outgoing import delivery, outbox
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 6


@pytest.fixture
def worker():
    """Delivers and frees stale claims repeatedly in a thread. An error in it fails the test."""
    over, failures = threading.Event(), []

    def work():
        try:
            while not over.wait(0.01):
                delivery.drain()
                outbox.release_stale()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()

    def end():
        over.set()
        thread.join()
        assert failures == []

    yield end
    over.set()
    thread.join()


def test_eight_write_at_once_while_a_worker_delivers(acme, alice, carol, api, partner_api, partner, worker):
    change = ChangeFactory(owning_group=SupportGroupFactory(name="ACME Networks"))
    staff, from_acme = api(alice), partner_api(acme)

    def creates():
        body = {"title": "Given away", "owning_group": "ACME Networks"}
        return [staff.post("/api/v1/changes/", body).status_code for _ in range(ROUNDS)]

    def comments():
        path = f"/api/v1/changes/{change.number}/comments/"
        return [staff.post(path, {"body": f"{number}"}).status_code for number in range(ROUNDS)]

    def partner_creates():
        body = {"system_id": "ACME", "operation": "Create", "properties": {"title": "From ACME"}}
        return [
            from_acme.post("/api/v1/operations/", {**body, "external_id": f"C-{number}"}).status_code
            for number in range(ROUNDS)
        ]

    def page_comments():
        browser = Client()
        browser.force_login(carol, backend="django.contrib.auth.backends.ModelBackend")
        path = f"/changes/{change.number}/comments/"
        return [browser.post(path, {"body": "Page", "visibility": "public"}).status_code for _ in range(ROUNDS)]

    answers = at_once(creates, creates, comments, comments, partner_creates, page_comments, page_comments, comments)
    worker()
    delivery.drain()

    assert answers == [[201] * ROUNDS] * 5 + [[302] * ROUNDS] * 2 + [[201] * ROUNDS]
    assert Comment.objects.filter(change=change).count() == 5 * ROUNDS
    assert IncomingOperation.objects.filter(status="Applied").count() == ROUNDS
    assert Change.objects.count() == 1 + 3 * ROUNDS
    assert {*OutgoingOperation.objects.values_list("status", flat=True)} == {"Delivered"}
    sequences = [
        message["sequence"] for _, message, _ in partner.received if message["change"]["number"] == change.number
    ]
    assert sequences == [*range(1, 2 + 5 * ROUNDS)]
