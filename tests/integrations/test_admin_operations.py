"""The administration of operations: shown as they are; retried and skipped by those who may."""

import pytest
from django.contrib.admin.models import LogEntry
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
from tests.html_forms import messages, post_form, read_form
from tests.pages import text, web

LIST = "/admin/integrations/outgoingoperation/"


def page_of(operation):
    return f"{LIST}{operation.pk}/change/"


def choose(client, action, *operations, **more):
    """Ticks these operations in the list and takes the action."""
    page = client.get(LIST)
    form = read_form(page, "_selected_action")
    chosen = {"_selected_action": [str(operation.pk) for operation in operations], "action": action, "index": "0"}
    return client.post(LIST, {**form["fields"], **chosen, **more}, follow=True)


@pytest.fixture
def give(alice, acme):
    """Gives a new change to ACME: an Assign, and an Update for each comment."""

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


def test_a_refused_operation_is_retried_from_its_page(ingrid, refused, django_capture_on_commit_callbacks):
    client = web(ingrid)
    with django_capture_on_commit_callbacks() as woken:
        response = post_form(client, page_of(refused), action="retry_now", follow=True)
    refused.refresh_from_db()
    assert (refused.status, refused.tries) == (DeliveryStatus.WAITING, 0)
    assert woken
    assert response.redirect_chain[-1][0] == page_of(refused)
    assert messages(response) == ["To be sent as soon as it is their turn: 1."]
    assert LogEntry.objects.get().user == ingrid


def test_several_are_retried_from_the_list(ingrid, give):
    operations = [*give(), *give()]
    OutgoingOperation.objects.update(status=DeliveryStatus.REFUSED, tries=10)
    response = choose(web(ingrid), "retry_now", *operations)
    assert messages(response) == ["To be sent as soon as it is their turn: 4."]
    assert {operation.status for operation in OutgoingOperation.objects.all()} == {DeliveryStatus.WAITING}


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"enabled": False}, "To be sent once ACME is enabled, which is disabled now: 2."),
        (
            {"paused_at": timezone.now(), "pause_reason": "401"},
            "To be sent once ACME is resumed, which is paused now: 2.",
        ),
    ],
)
def test_a_retry_for_a_system_that_is_held_says_what_it_waits_for(ingrid, acme, give, held, expected):
    operations = give()
    type(acme).objects.filter(pk=acme.pk).update(**held)
    assert messages(choose(web(ingrid), "retry_now", *operations)) == [expected]


@pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.SENDING, DeliveryStatus.SKIPPED])
@pytest.mark.parametrize("action", ["retry_now", "skip"])
def test_what_is_settled_or_being_sent_is_left_alone_with_a_clear_message(ingrid, refused, status, action):
    OutgoingOperation.objects.filter(pk=refused.pk).update(status=status)
    response = choose(web(ingrid), action, refused, reason="Because")
    assert messages(response) == [f"Assign 1 to ACME is {status} now: nothing was changed."]
    refused.refresh_from_db()
    assert (refused.status, refused.skip_reason) == (status, "")


# --- Skipped ---


def test_skipping_asks_for_a_reason(ingrid, refused):
    client = web(ingrid)
    asked = post_form(client, page_of(refused), action="skip")
    assert "Reason for skipping" in text(asked)
    response = post_form(client, LIST, page=asked, reason="Told them by telephone", follow=True)
    assert messages(response) == ["Skipped operations: 1."]
    refused.refresh_from_db()
    assert (refused.status, refused.skipped_by, refused.skip_reason) == (
        DeliveryStatus.SKIPPED,
        ingrid,
        "Told them by telephone",
    )
    assert "Told them by telephone" in text(client.get(page_of(refused)))
    assert "ingrid" in text(client.get(page_of(refused)))


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_without_a_proper_reason_nothing_is_skipped(ingrid, refused, reason):
    client = web(ingrid)
    asked = post_form(client, page_of(refused), action="skip")
    response = post_form(client, LIST, page=asked, reason=reason)
    assert response.context["form"].errors["reason"]
    refused.refresh_from_db()
    assert refused.status == DeliveryStatus.REFUSED


def test_skipping_frees_those_behind(ingrid, refused):
    client = web(ingrid)
    assert outbox.claim(10) == []
    choose(client, "skip", refused, reason="Because")
    assert [row.operation for row in outbox.claim(10)] == ["Update"]


def test_skipping_an_undelivered_assign_offers_to_skip_what_waits_behind_it(ingrid, give):
    assign, first, second = give(comments=2)
    other = give()[0]
    client = web(ingrid)
    asked = post_form(client, page_of(assign), action="skip")
    assert "Skip 2 behind as well" in text(asked)
    response = post_form(client, LIST, page=asked, reason="Wrong partner", and_behind="on", follow=True)
    assert messages(response) == ["Skipped operations: 3."]
    for operation in (assign, first, second):
        operation.refresh_from_db()
        assert (operation.status, operation.skip_reason) == (DeliveryStatus.SKIPPED, "Wrong partner")
    other.refresh_from_db()
    assert other.status == DeliveryStatus.WAITING


def test_the_offer_may_be_declined(ingrid, give):
    assign, update = give()
    client = web(ingrid)
    asked = post_form(client, page_of(assign), action="skip")
    post_form(client, LIST, page=asked, reason="Wrong partner")
    update.refresh_from_db()
    assert update.status == DeliveryStatus.WAITING


def test_what_is_recorded_behind_after_the_page_was_shown_is_not_skipped(ingrid, alice, give):
    assign, _ = give()
    client = web(ingrid)
    asked = post_form(client, page_of(assign), action="skip")
    Comment(change=assign.change, author=alice, body="Meanwhile").save()
    response = post_form(client, LIST, page=asked, reason="Wrong partner", and_behind="on", follow=True)
    assert messages(response) == ["Skipped operations: 2."]
    found = [operation.status for operation in assign.change.outgoing_operations.order_by("sequence")]
    assert found == [DeliveryStatus.SKIPPED, DeliveryStatus.SKIPPED, DeliveryStatus.WAITING]


@pytest.mark.parametrize("moment", ["", "nonsense", None])
def test_without_the_moment_of_the_page_nothing_behind_is_skipped(ingrid, give, moment):
    assign, _ = give()
    client = web(ingrid)
    asked = post_form(client, page_of(assign), action="skip")
    answer = post_form(client, LIST, page=asked, reason="Wrong partner", and_behind="on", shown_until=moment)
    assert answer.context["form"].errors["shown_until"]
    assert {operation.status for operation in OutgoingOperation.objects.all()} == {DeliveryStatus.WAITING}


@pytest.fixture
def too_many(give):
    """501 operations."""
    (assign,) = give(comments=0)
    OutgoingOperation.objects.bulk_create(
        OutgoingOperation(
            exchange=assign.exchange,
            change=assign.change,
            system=assign.system,
            sequence=number,
            operation="Update",
            payload={},
            next_try_at=assign.next_try_at,
            created_at=assign.created_at,
        )
        for number in range(2, 502)
    )
    return assign


def test_more_than_the_page_can_carry_are_refused_before_a_reason_is_typed(ingrid, too_many):
    response = choose(web(ingrid), "skip", too_many, select_across="1")
    (refusal,) = messages(response)
    assert refusal.startswith("501 are chosen, and at most 500 are taken at a time: nothing was changed. Filter")
    assert "Reason for skipping" not in text(response)


def test_as_many_as_the_page_can_carry_are_skipped(ingrid, too_many):
    too_many.delete()
    client = web(ingrid)
    asked = choose(client, "skip", OutgoingOperation.objects.last(), select_across="1")
    response = post_form(client, LIST, page=asked, reason="All by telephone", follow=True)
    assert messages(response) == ["Skipped operations: 500."]
    assert not OutgoingOperation.objects.exclude(status=DeliveryStatus.SKIPPED).exists()


def test_skipping_an_update_offers_nothing_more(ingrid, give):
    _, first, _ = give(comments=2)
    asked = post_form(web(ingrid), page_of(first), action="skip")
    assert "behind as well" not in text(asked)


def test_several_are_skipped_with_one_reason(ingrid, give):
    operations = [*give(), *give()]
    client = web(ingrid)
    asked = choose(client, "skip", *operations)
    assert "behind as well" not in text(asked), "all are chosen already"
    response = post_form(client, LIST, page=asked, reason="All by telephone", follow=True)
    assert messages(response) == ["Skipped operations: 4."]


@pytest.mark.parametrize("who", ["alice", "carol", "audrey"])
@pytest.mark.parametrize("action", ["retry_now", "skip"])
def test_without_the_permission_there_is_no_action(request, who, action, refused):
    client = web(request.getfixturevalue(who))
    assert "Retry now" not in text(client.get(page_of(refused)))
    assert "Skip with a reason" not in text(client.get(page_of(refused)))
    chosen = {"_selected_action": [str(refused.pk)], "action": action, "reason": "Because", "and_behind": "on"}
    client.post(LIST, chosen)
    client.post(LIST, {**chosen, "index": "0"})
    refused.refresh_from_db()
    assert (refused.status, refused.tries) == (DeliveryStatus.REFUSED, 1)


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
