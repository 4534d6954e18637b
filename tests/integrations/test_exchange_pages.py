"""The exchange on the pages: in plain words on the change, in the log, and by hand where it is stuck."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.actor import acting
from changes.choices import Phase
from changes.models import Comment
from integrations.models import (
    DeliveryAttempt,
    Exchange,
    ExternalReference,
    ExternalSystem,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import SupportGroupFactory, change_in
from tests.pages import text, web
from tests.rows import each_row

PERSONS_ALLOWED = {"ingrid"}


@pytest.fixture
def people(alice, carol, ingrid, audrey):
    return {"alice": alice, "carol": carol, "ingrid": ingrid, "audrey": audrey}


@pytest.fixture
def given(acme):
    """A change in Plan that was given to ACME: an Assign is recorded."""
    return change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)


def tried(operation, **values):
    """An attempt to deliver `operation`, which a worker has claimed."""
    OutgoingOperation.objects.filter(pk=operation.pk).update(status="Sending", claim=operation.claim + 1)
    operation.refresh_from_db()
    return DeliveryAttempt(
        operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.25, **values
    )


def settle(operation, attempt, outcome, error):
    outbox.settle([outbox.Result(operation, attempt, outcome, error)])


def assign(change):
    return change.outgoing_operations.get(operation="Assign")


def refuse(operation, error="refused with 422"):
    attempt = tried(operation, http_status=422, answer='{"detail": "no <b>markup</b>"}')
    settle(operation, attempt, outbox.Outcome.REFUSED, error)
    operation.refresh_from_db()


def deliver(operation, answer=None):
    attempt = tried(operation, http_status=200, answer="{}")
    outbox.settle([outbox.Result(operation, attempt, outbox.Outcome.DELIVERED, answer=answer or {})])
    operation.refresh_from_db()


def comment(change, alice, count=1):
    for number in range(count):
        Comment(change=change, author=alice, body=f"Remark {number}").save()


def came(system, change, status="Applied", **values):
    fields = {
        "system": system,
        "user": system.authorized_user,
        "operation": "Update",
        "status": status,
        "payload": {"operation": "Update", "properties": {"title": "<script>alert(1)</script>"}},
        "body_sha256": "0" * 64,
        "http_status": 409 if status == "Failed" else 200,
        "change": change,
        **values,
    }
    operation = IncomingOperation(**fields)
    operation.save()
    return operation


def page(user, change):
    return text(web(user).get(f"/changes/{change.number}/"))


# --- In plain words on the change ---


def test_who_holds_it_and_what_is_on_its_way(alice, given):
    said = page(alice, given)
    assert "ACME Networks has owned this change since" in said
    assert "ACME Holds it ACME holds this change, through ACME Networks." in said
    assert "Assign 1 is on its way. It is due now, and sent as soon as a worker is free." in said


def test_a_delivered_assign_leaves_nothing_on_its_way_and_fills_the_external_assignment(alice, given):
    answer = {
        "external_id": "C-1001",
        "external_url": "https://desk.acme.example/C-1001",
        "external_status": "In progress",
    }
    deliver(assign(given), answer)
    response = web(alice).get(f"/changes/{given.number}/")
    said = text(response)
    assert "Nothing is on its way to ACME." in said
    assert "ACME last said In progress" in said
    assert "Last told ACME Assign 1" in said
    assert "External id C-1001" in said
    link = '<a href="https://desk.acme.example/C-1001" rel="noopener noreferrer"'
    assert link in response.content.decode()


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "ftp://acme.example/x", "//acme.example", "data:text/html,x", ""]
)
def test_only_a_web_address_of_a_partner_becomes_a_link(alice, given, acme, url):
    ExternalReference.objects.create(change=given, system=acme, external_id="C-<1>", external_url=url)
    content = web(alice).get(f"/changes/{given.number}/").content.decode()
    assert "C-&lt;1&gt;" in content
    assert 'rel="noopener noreferrer"' not in content
    assert not url or f'href="{url}' not in content


def test_a_delay_says_why_and_when_it_is_tried_again(alice, given):
    operation = assign(given)
    error = "Connection refused"
    settle(operation, tried(operation, error=error), outbox.Outcome.RETRY, error)
    said = page(alice, given)
    operation.refresh_from_db()
    assert "Assign 1 is delayed. To be sent again after 1 failed try. Connection refused." in said
    assert f"Next try {operation.next_try_at:%Y-%m-%d %H:%M} (in" in said


def test_a_refusal_says_what_waits_behind_it_and_that_a_person_is_needed(alice, given):
    refuse(assign(given))
    comment(given, alice, 2)
    said = page(alice, given)
    assert (
        "Assign 1 was refused. Refused with 422. It will not be retried automatically. 2 more wait behind it." in said
    )
    assert "It waits behind Assign 1, which must be delivered or skipped first." in said


def test_an_operation_in_flight_is_said_to_be_sent_now(alice, given):
    OutgoingOperation.objects.update(status="Sending")
    assert "Assign 1 is being sent. It is being sent now." in page(alice, given)


def test_a_disabled_system_says_that_operations_wait(alice, acme, given):
    acme.enabled = False
    acme.save()
    assert "Assign 1 waits. ACME is disabled: operations are recorded and wait until it is enabled." in page(
        alice, given
    )


def test_a_paused_system_says_why_and_that_operations_wait(alice, acme, given):
    operation = assign(given)
    error = "ACME does not accept our credentials (401)"
    settle(operation, tried(operation, http_status=401), outbox.Outcome.PAUSE, error)
    said = page(alice, given)
    assert "Sending is paused: ACME does not accept our credentials (401)." in said
    assert "Operations wait until an administrator resumes it." in said


def test_a_system_that_collects_says_so(alice, acme, given):
    acme.delivery = "pull"
    acme.save()
    assert "It waits for ACME to collect it." in page(alice, given)


def reject(change, system):
    exchange = Exchange.objects.get(change=change, system=system)
    exchange.state = exchange.state.after_reject()
    exchange.save()


def test_a_rejected_change_says_that_it_needs_another_group_until_it_has_one(alice, acme, given):
    deliver(assign(given))
    reject(given, acme)
    said = page(alice, given)
    assert "ACME Rejected ACME rejected this change." in said
    assert "ACME rejected this change, but ACME Networks still owns it" in said
    assert "Give the change to another group." in said
    given.owning_group = SupportGroupFactory(name="Network")
    given.save()
    said = page(alice, given)
    assert "ACME rejected this change." in said
    assert "Give the change to another group." not in said


def test_withdrawn_that_was_cleared_warns_that_the_partner_still_holds_it_for_cancelled(alice, given):
    given.completion_code = "Withdrawn"
    given.save()
    said = page(alice, given)
    assert "ACME was told that this change is cancelled." in said
    assert "still holds the change for cancelled" not in said
    given.completion_code = None
    given.save()
    assert "ACME was told Cancel, and still holds the change for cancelled." in page(alice, given)


def test_without_a_partner_the_page_says_how_one_comes_in(alice):
    said = page(alice, change_in(Phase.PLAN))
    assert "When you give it to an external group, its partner gets an Assign." in said


def test_operations_of_both_directions_are_listed_with_their_state(alice, acme, given):
    deliver(assign(given))
    came(acme, given, "Failed", error="Normal changes have no transition from Plan to Close.")
    came(acme, given, "Applied", operation="Cancel")
    came(acme, given, "Ignored")
    said = page(alice, given)
    assert "Assign 1 to ACME Delivered" in said
    assert "from ACME Failed" in said
    assert "Update of ACME failed here. Normal changes have no transition from Plan to Close." not in said  # no news
    assert "Normal changes have no transition from Plan to Close." in said
    assert "Cancel from ACME Applied" in said
    assert "from ACME Ignored" in said


def test_an_old_operation_that_blocks_is_shown_however_many_came_after(alice, given):
    refuse(assign(given))
    comment(given, alice, 60)
    said = page(alice, given)
    assert "Assign 1 was refused." in said
    assert "60 more wait behind it." in said


def test_the_exchange_makes_as_many_queries_for_many_operations_as_for_few(alice, acme, beta, given):
    client = web(alice)
    counts = []
    for _ in range(2):
        comment(given, alice, 5)
        came(acme, given)
        came(beta, given, "Failed")
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/changes/{given.number}/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


# --- By hand ---


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


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_skipping_needs_a_reason(ingrid, given, reason):
    operation = assign(given)
    refuse(operation)
    response = web(ingrid).post(f"/exchange/{operation.pk}/skip/", {"reason": reason})
    assert response.status_code == 200
    assert "Not skipped: mend this first" in text(response)
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
    """What the skip page carries: the last operation that it showed as waiting."""
    response = web(user).get(f"/exchange/{operation.pk}/skip/")
    return response.context["last"]


def test_what_came_since_the_skip_page_was_shown_is_not_skipped(ingrid, alice, given):
    operation = assign(given)
    comment(given, alice)
    data = {"reason": "Given by mistake", "all": "on", "last": shown_last(ingrid, operation)}
    comment(given, alice)
    web(ingrid).post(f"/exchange/{operation.pk}/skip/", data)
    states = [row.status for row in given.outgoing_operations.order_by("sequence")]
    assert states == ["Skipped", "Skipped", "Waiting"]


@pytest.mark.parametrize("how", [{"enabled": False}, {"paused_at": timezone.now()}])
def test_a_retry_for_a_system_that_waits_says_so(ingrid, acme, given, how):
    operation = assign(given)
    ExternalSystem.objects.update(**how)
    said = text(web(ingrid).post(f"/exchange/{operation.pk}/retry/", follow=True))
    assert "Assign 1 to ACME is sent once ACME is enabled and not paused." in said


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


# --- The log ---


@pytest.fixture
def busy(alice, acme, beta, given):
    """Operations of both systems and directions."""
    other = change_in(Phase.PLAN, owning_group=beta.external_groups.get().group)
    deliver(assign(given))
    refuse(assign(other))
    comment(given, alice)
    came(acme, given, "Failed", error="No <b>such</b> group")
    came(beta, other, "Applied", operation="Reject")
    return {"given": given, "other": other}


def listed(response):
    """Operation and change of each row."""
    content = response.content.decode()
    rows = re.findall(r'data-label="Operation"><a [^>]+>([^<]+)</a>.*?(CHG\d+)</a>', content, re.DOTALL)
    return sorted(rows)


@each_row(
    ("query", "expected"),
    [
        ("", [("Assign 1", "given"), ("Assign 1", "other"), ("Update 2", "given")]),
        ("system=ACME", [("Assign 1", "given"), ("Update 2", "given")]),
        ("status=Refused", [("Assign 1", "other")]),
        ("status=open", [("Assign 1", "other"), ("Update 2", "given")]),
        ("operation=Assign", [("Assign 1", "given"), ("Assign 1", "other")]),
        ("system=ACME&status=Delivered", [("Assign 1", "given")]),
        ("system=BETA&operation=Cancel", []),
        ("direction=in", [("Reject", "other"), ("Update", "given")]),
        ("direction=in&status=Failed", [("Update", "given")]),
        ("direction=in&operation=Reject", [("Reject", "other")]),
        ("direction=in&system=ACME", [("Update", "given")]),
    ],
)
def test_the_log_is_filtered_by_the_address(audrey, busy, query, expected):
    response = web(audrey).get(f"/exchange/?{query}")
    assert listed(response) == sorted((operation, busy[name].number) for operation, name in expected)


def test_the_log_of_one_change(audrey, busy):
    response = web(audrey).get(f"/exchange/?change={busy['other'].number.lower()}")
    assert listed(response) == [("Assign 1", busy["other"].number)]


@pytest.mark.parametrize("query", ["system=NOBODY", "status=Lost", "operation=Create", "direction=in&operation=Accept"])
def test_a_filter_of_the_log_that_does_not_exist_is_said(audrey, busy, query):
    response = web(audrey).get(f"/exchange/?{query}")
    assert response.status_code == 200
    assert "A filter has a value that does not exist" in text(response)
    assert listed(response) == []


def test_an_empty_log_says_what_fills_it(audrey):
    assert "Nothing was sent yet" in text(web(audrey).get("/exchange/"))
    assert "Nothing has come yet" in text(web(audrey).get("/exchange/?direction=in"))
    assert "No operation matches" in text(web(audrey).get("/exchange/?status=Refused"))


@pytest.mark.parametrize("direction", ["out", "in"])
def test_the_log_pages_and_makes_few_queries_whatever_the_number_of_rows(ingrid, alice, acme, given, direction):
    client = web(ingrid)
    comment(given, alice)
    came(acme, given)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            response = client.get(f"/exchange/?direction={direction}")
        counts.append(len(queries))
        comment(given, alice, 51)
        for _ in range(51):
            came(acme, given)
    assert counts[0] == counts[1]
    assert counts[0] <= 8
    assert response.content.decode().count('data-label="Operation"') == 50
    assert f'rel="next" href="/exchange/?direction={direction}&amp;after=' in response.content.decode()


# --- One operation ---


def test_the_page_of_an_outgoing_operation_shows_payload_and_attempts(audrey, busy):
    operation = assign(busy["other"])
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    said = text(response)
    assert "Assign 1 to BETA Refused" in said
    assert "Refused with 422. It will not be retried automatically." in said
    assert "0.25 s 422" in said
    assert '{"detail": "no <b>markup</b>"}' in said
    assert "<b>markup" not in response.content.decode()
    assert f'"number": "{busy["other"].number}"' in said
    assert f'"id": "{operation.pk}"' in said
    assert "Retry now" not in said


def test_an_operation_that_was_caused_by_a_partner_leads_there(audrey, acme, beta, given):
    cause = came(beta, given)
    OutgoingOperation.objects.update(cause=cause)
    operation = assign(given)
    content = web(audrey).get(f"/exchange/{operation.pk}/").content.decode()
    assert f'<a href="/exchange/{cause.pk}/">Update from BETA</a>' in content
    content = web(audrey).get(f"/exchange/{cause.pk}/").content.decode()
    assert f'<a href="/exchange/{operation.pk}/">Assign 1 to ACME</a>' in content


def test_the_page_of_a_failed_incoming_operation_says_who_what_and_why(audrey, acme, given):
    operation = came(acme, given, "Failed", error="No <b>such</b> group", idempotency_key="key-1")
    response = web(audrey).get(f"/exchange/{operation.pk}/")
    said = text(response)
    assert "Update from ACME Failed" in said
    assert "No <b>such</b> group" in said
    assert "Nothing of it was kept." in said
    assert "ACME, acting as acme-integration" in said
    assert "Answered 409" in said
    assert "key-1" in said
    assert '"title": "<script>alert(1)</script>"' in said
    assert "<script>" not in response.content.decode()


def test_an_incoming_operation_that_could_not_be_read_has_a_page_too(audrey, acme):
    operation = came(acme, None, "Failed", operation="", error="Not JSON")
    IncomingOperation.objects.update(system=None, payload={})
    said = text(web(audrey).get(f"/exchange/{operation.pk}/"))
    assert "Unreadable operation from acme-integration" in said
    assert "Unreadable" in text(web(audrey).get("/exchange/?direction=in"))


def test_what_was_answered_is_shown(audrey, acme, given):
    operation = came(acme, given, result={"status": "Applied", "change": {"number": given.number}})
    said = text(web(audrey).get(f"/exchange/{operation.pk}/"))
    assert "What was answered" in said
    assert '"status": "Applied"' in said


@pytest.mark.parametrize("path", ["0199f3c0-0000-7000-8000-000000000000", "nonsense"])
def test_an_unknown_operation_answers_404(audrey, path):
    assert web(audrey).get(f"/exchange/{path}/").status_code == 404


def test_a_private_comment_is_in_no_payload_that_the_pages_show(audrey, alice, given):
    Comment(change=given, author=alice, body="Between us", visibility="private").save()
    client = web(audrey)
    for operation in given.outgoing_operations.all():
        assert "Between us" not in text(client.get(f"/exchange/{operation.pk}/"))


def test_a_change_that_a_partner_edited_shows_it_in_the_history(alice, acme, given):
    with acting(acme.authorized_user, "ACME"):
        given.planned_end = given.planned_end + timedelta(hours=1)
        given.save()
    assert "ACME acting as acme-integration Planned end" in page(alice, given)
