"""The administration of operations: read-only, with a link to the page on which an operation is retried or skipped."""

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.choices import DeliveryStatus
from integrations.models import (
    DeliveryAttempt,
    Exchange,
    ExternalReference,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import ChangeFactory
from tests.pages import text, web

LIST = "/admin/integrations/outgoingoperation/"


def page_of(operation):
    return f"{LIST}{operation.pk}/change/"


@pytest.fixture
def give(alice, acme):
    """Gives a new change with comments to ACME, which records an Assign, and an Update for each comment."""

    def give(comments=1):
        change = ChangeFactory(requested_by=alice, owning_group=acme.external_groups.get().group)
        for number in range(comments):
            Comment(change=change, author=alice, body=f"Comment {number}").save()
        return list(change.outgoing_operations.order_by("sequence"))

    return give


@pytest.fixture
def refused(give):
    """A refused Assign, with an Update behind it."""
    give()
    (claimed,) = outbox.claim(1)
    attempt = DeliveryAttempt(operation=claimed, claim=claimed.claim, started_at=timezone.now(), duration=0.25)
    attempt.http_status, attempt.answer = 400, "<b>no such group</b>"
    outbox.settle([outbox.Result(claimed, attempt, outbox.Outcome.REFUSED, "refused with 400")])
    return OutgoingOperation.objects.get(pk=claimed.pk)


# --- Shown ---


def test_an_operation_is_shown_with_its_payload_and_attempts(audrey, refused):
    page = web(audrey).get(page_of(refused))
    shown = text(page)
    assert "Refused" in shown
    assert f'"number": "{refused.change.number}"' in shown
    assert "<b>no such group</b>" in shown, "escaped, and so shown as it came"
    assert "&lt;b&gt;no such group" in page.content.decode()
    assert "0.250" in shown


def test_nothing_of_an_operation_can_be_edited_added_or_deleted(root, refused):
    client = web(root)
    assert client.post(page_of(refused), {"status": "Delivered", "payload": "{}"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(f"{LIST}{refused.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in client.get(LIST).content.decode()
    assert OutgoingOperation.objects.get(pk=refused.pk).status == DeliveryStatus.REFUSED


@pytest.fixture
def root(alice):
    alice.is_superuser = True
    alice.save()
    return alice


def test_the_list_is_filtered_by_system_status_operation_and_date_and_found_by_number(ingrid, refused, beta, give):
    other = give()[0]
    client = web(ingrid)

    def found(**query):
        return {row.pk for row in client.get(LIST, query).context["cl"].result_list}

    assert len(found()) == 4
    assert found(status__exact="Refused") == {refused.pk}
    assert found(operation__exact="Assign") == {refused.pk, other.pk}
    assert found(q=other.change.number, operation__exact="Assign") == {other.pk}
    assert found(system__id__exact=str(beta.pk)) == set()
    assert len(found(system__id__exact=str(refused.system_id))) == 4
    assert len(found(created_at__gte="2000-01-01 00:00:00+00:00")) == 4
    assert found(created_at__lt="2000-01-01 00:00:00+00:00") == set()


@pytest.mark.parametrize("address", ["outgoingoperation", "incomingoperation", "externalreference", "exchange"])
def test_the_lists_take_a_constant_number_of_queries(ingrid, acme, give, address, django_assert_max_num_queries):
    client = web(ingrid)

    def fill(count):
        for number in range(count):
            change = give()[0].change
            ExternalReference(change=change, system=acme, external_id=f"C-{change.pk}-{number}").save()
            came(acme, change)

    fill(2)
    client.get(f"/admin/integrations/{address}/")
    with django_assert_max_num_queries(100) as few:
        client.get(f"/admin/integrations/{address}/")
    fill(8)
    with django_assert_max_num_queries(len(few)):
        client.get(f"/admin/integrations/{address}/")


# --- Retried ---


# --- Skipped ---


# --- Incoming operations, references, exchanges ---


def came(acme, change=None, **fields):
    operation = IncomingOperation(
        system=acme,
        user=acme.authorized_user,
        change=change,
        body_sha256="0" * 64,
        **{"operation": "Create", "status": "Applied", "http_status": 201, "payload": {"external_id": "C-1"}, **fields},
    )
    operation.save()
    return operation


def test_an_incoming_operation_is_shown_with_what_came_and_what_came_of_it(audrey, acme, give):
    change = give()[0].change
    applied = came(acme, change, result={"status": "Applied"}, idempotency_key="key-1")
    failed = came(acme, None, operation="", status="Failed", http_status=400, error="operation: unknown")
    client = web(audrey)
    shown = text(client.get(f"/admin/integrations/incomingoperation/{applied.pk}/change/"))
    for expected in ('"external_id": "C-1"', '"status": "Applied"', "key-1", change.number, "acme-integration"):
        assert expected in shown
    shown = text(client.get(f"/admin/integrations/incomingoperation/{failed.pk}/change/"))
    assert "operation: unknown" in shown
    listed = client.get("/admin/integrations/incomingoperation/", {"q": change.number}).context["cl"].result_list
    assert [row.pk for row in listed] == [applied.pk]


@pytest.mark.parametrize("kind", ["incomingoperation", "externalreference", "exchange"])
def test_what_the_exchange_keeps_is_only_shown(root, acme, give, kind):
    change = give()[0].change
    came(acme, change)
    ExternalReference(change=change, system=acme, external_id="C-1").save()
    model = {"incomingoperation": IncomingOperation, "externalreference": ExternalReference, "exchange": Exchange}[kind]
    record = model.objects.get()
    client = web(root)
    address = f"/admin/integrations/{kind}/"
    assert client.get(f"{address}{record.pk}/change/").status_code == 200
    assert client.post(f"{address}{record.pk}/change/", {"external_id": "C-2"}).status_code == 403
    assert client.get(f"{address}add/").status_code == 403
    assert client.post(f"{address}{record.pk}/delete/", {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=record.pk).exists()


def test_an_operation_is_retried_or_skipped_on_its_page_in_the_exchange_log(ingrid, refused):
    client = web(ingrid)
    page = client.get(page_of(refused))
    assert f'href="/exchange/{refused.pk}/"' in page.content.decode()
    assert "Retry or skip in the exchange log" in text(page)
    assert 'name="action"' not in client.get(LIST).content.decode()
    OutgoingOperation.objects.update(status="Delivered", is_next=False)
    assert "Show in the exchange log" in text(client.get(page_of(refused)))
