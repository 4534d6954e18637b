"""Retrying and skipping operations by hand."""

from datetime import timedelta

import pytest
from django.utils import timezone

from integrations.models import DeliveryControl, ExternalSystem
from tests.factories import SupportGroupFactory
from tests.pages import text, web
from tests.rows import each_row

from .conftest import assign, came, comment, deliver, refuse

PERSONS_ALLOWED = {"ingrid"}


@pytest.fixture
def people(alice, carol, ingrid, audrey):
    return {"alice": alice, "carol": carol, "ingrid": ingrid, "audrey": audrey}


def test_retry_and_skip_are_offered_to_who_may_and_only_where_they_do_something(people, given):
    refuse(assign(given))
    comment(given, people["alice"])
    for name, person in people.items():
        content = web(person).get(f"/changes/{given.number}/").content.decode()
        panel = content.partition('id="exchange"')[2].partition("</section>")[0]
        activity = content.partition('id="activity"')[2]
        for part, to_skip in ((panel, 1), (activity, 2)):
            assert part.count("/retry/") == (1 if name in PERSONS_ALLOWED else 0)
            assert part.count("/skip/") == (to_skip if name in PERSONS_ALLOWED else 0)
    deliver(assign(given))
    assert "/retry/" in web(people["ingrid"]).get(f"/changes/{given.number}/").content.decode()


@each_row("person", ["alice", "carol", "audrey"])
@each_row("action", ["retry", "skip"])
def test_who_may_not_is_refused_with_the_role_that_may(people, given, person, action):
    operation = assign(given)
    refuse(operation)
    client = web(people[person])
    response = client.post(f"/exchange/{operation.pk}/{action}/", {"reason": "Because"})
    assert response.status_code == 403
    assert "Integration administrator" in text(response)
    operation.refresh_from_db()
    assert operation.status == "Refused"


def test_retry_now_leads_back_to_the_page_it_was_on(ingrid, given):
    operation = assign(given)
    refuse(operation)
    back = f"/changes/{given.number}/"
    response = web(ingrid).post(f"/exchange/{operation.pk}/retry/", {"next": back}, follow=True)
    assert response.redirect_chain[-1][0] == back
    assert "Assign 1 to ACME is sent as soon as it is its turn." in text(response)
    operation.refresh_from_db()
    assert (operation.status, operation.tries) == ("Waiting", 0)


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_no_address_leads_out_of_the_product(ingrid, given, back):
    operation = assign(given)
    response = web(ingrid).post(f"/exchange/{operation.pk}/retry/", {"next": back})
    assert response["Location"] == f"/exchange/{operation.pk}/"


@pytest.mark.parametrize("action", ["retry", "skip"])
def test_what_was_delivered_meanwhile_is_left_alone_in_words(ingrid, given, action):
    operation = assign(given)
    deliver(operation)
    response = web(ingrid).post(f"/exchange/{operation.pk}/{action}/", {"reason": "Because"}, follow=True)
    assert "Assign 1 to ACME is Delivered now: nothing was changed." in text(response)
    operation.refresh_from_db()
    assert (operation.status, operation.skipped_by) == ("Delivered", None)


def test_the_skip_page_says_what_is_lost_and_what_waits_behind(ingrid, alice, given):
    operation = assign(given)
    refuse(operation)
    comment(given, alice, 2)
    said = text(web(ingrid).get(f"/exchange/{operation.pk}/skip/"))
    assert "Skip Assign 1 to ACME?" in said
    assert "ACME will never get it" in said
    assert "Update 2, recorded" in said
    assert "Also skip the 2 waiting behind it. Without the Assign, ACME does not know this change." in said


@pytest.mark.parametrize("reason", ["", "   ", "\u200b", "\u3164", "x" * 501])
def test_skipping_needs_a_reason(ingrid, given, reason):
    operation = assign(given)
    refuse(operation)
    response = web(ingrid).post(f"/exchange/{operation.pk}/skip/", {"reason": reason})
    assert response.status_code == 200
    assert "Not skipped. Fix these fields" in text(response)
    operation.refresh_from_db()
    assert operation.status == "Refused"


def test_skipping_frees_what_waits_behind_it(ingrid, alice, given):
    operation = assign(given)
    refuse(operation)
    comment(given, alice)
    response = web(ingrid).post(f"/exchange/{operation.pk}/skip/", {"reason": "They know it"}, follow=True)
    assert "Assign 1 to ACME was skipped." in text(response)
    assert "Skipped by ingrid: They know it" in text(response)
    states = [row.status for row in given.outgoing_operations.order_by("sequence")]
    assert states == ["Skipped", "Waiting"]


def shown_last(user, operation):
    """The hidden field of the skip page: the last operation that it showed as waiting."""
    response = web(user).get(f"/exchange/{operation.pk}/skip/")
    return response.context["last"]


def test_a_partner_that_was_never_told_does_not_count_as_holding_the_change(ingrid, alice, acme, given):
    page, client = f"/changes/{given.number}/", web(alice)
    assert "Holds it" in text(client.get(page))
    web(ingrid).post(f"/exchange/{assign(given).pk}/skip/", {"reason": "Never delivered", "last": 1})
    untold = "Not handed over Assign 1 was skipped, so ACME was not told that it holds this change."
    assert untold in text(client.get(page)) and "Holds it" not in text(client.get(page))
    shown = text(client.get("/changes/"))
    assert "ACME: not handed over" in shown and "ACME holds it" not in shown
    theirs = given.owning_group
    for group in (SupportGroupFactory(name="Network"), theirs):
        given.owning_group = group
        given.save()
    assert "Not handed over" not in text(client.get(page)) and "Holds it" in text(client.get(page))
    assert "not handed over" not in text(client.get("/changes/"))


def test_what_came_since_the_skip_page_was_shown_is_not_skipped(ingrid, alice, given):
    operation = assign(given)
    comment(given, alice)
    data = {"reason": "Given by mistake", "all": "on", "last": shown_last(ingrid, operation)}
    comment(given, alice)
    web(ingrid).post(f"/exchange/{operation.pk}/skip/", data)
    states = [row.status for row in given.outgoing_operations.order_by("sequence")]
    assert states == ["Skipped", "Skipped", "Waiting"]


@each_row(
    ("system", "breaker", "said"),
    [
        ({"enabled": False}, {}, "once ACME is enabled and not paused."),
        ({"paused_at": timezone.now()}, {}, "once ACME is enabled and not paused."),
        ({}, {"breaker": "Open"}, "once somebody resumes sending to ACME, which was paused by hand."),
        (
            {},
            {"breaker": "Open", "breaker_until": timezone.now() + timedelta(days=1)},
            "once the circuit breaker of ACME lets it through.",
        ),
    ],
)
def test_a_retry_for_a_system_that_waits_says_so(ingrid, acme, given, system, breaker, said):
    operation = assign(given)
    ExternalSystem.objects.update(**{"description": "", **system})
    DeliveryControl.objects.update(**{"breaker_reason": "", **breaker})
    shown = text(web(ingrid).post(f"/exchange/{operation.pk}/retry/", follow=True))
    assert f"Assign 1 to ACME is sent {said}" in shown


def test_skipping_an_undelivered_assign_skips_all_behind_it_when_asked(ingrid, alice, given):
    operation = assign(given)
    comment(given, alice, 2)
    data = {"reason": "Given by mistake", "all": "on", "last": shown_last(ingrid, operation)}
    response = web(ingrid).post(f"/exchange/{operation.pk}/skip/", data, follow=True)
    assert "Assign 1 to ACME was skipped, and 2 that waited behind it." in text(response)
    rows = given.outgoing_operations.all()
    assert {(row.status, row.skip_reason, row.skipped_by) for row in rows} == {("Skipped", "Given by mistake", ingrid)}


def test_all_behind_is_skipped_with_an_assign_only(ingrid, alice, given):
    deliver(assign(given))
    comment(given, alice, 2)
    first = given.outgoing_operations.get(sequence=2)
    web(ingrid).post(f"/exchange/{first.pk}/skip/", {"reason": "Not needed", "all": "on"})
    assert [row.status for row in given.outgoing_operations.order_by("sequence")] == ["Delivered", "Skipped", "Waiting"]


@pytest.mark.parametrize("action", ["retry", "skip"])
def test_an_operation_that_is_not_there_answers_404(ingrid, acme, given, action):
    incoming = came(acme, given)
    for pk in ("0199f3c0-0000-7000-8000-000000000000", incoming.pk):
        assert web(ingrid).post(f"/exchange/{pk}/{action}/", {"reason": "x"}).status_code == 404
