"""What the pages and the command say of partners that collect, and of their operations."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from changes.models import Comment
from integrations.choices import Confirmation
from integrations.models import DeliveryAttempt, DeliveryControl, ExternalSystem, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox
from tests.pages import text, web
from tests.rows import each_row

STATUS, DESK, TEST = "/exchange/status/", "/", "/exchange/status/ACME/test/"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ASKED_NOW = "ACME collects its operations itself."
NEVER = "ACME has not asked for its operations yet."
SILENT = "ACME has not asked for its operations since then."
NOT_HAD = "ACME asks for its operations, but has not had one yet."
UNCONFIRMED = "ACME asks for its operations, but does not confirm one that it could have."
# When it last asked, how old what waits for it is, whether it has had one before; then the state, and why.
STATES = [
    (None, None, False, "Not tried yet", NEVER, False),
    (None, MINUTE, False, "Not tried yet", NEVER, False),
    (None, 2 * HOUR, False, "Not collected for 2 hours", NEVER, True),
    (MINUTE, None, False, "Not tried yet", NOT_HAD, False),
    (MINUTE, 59 * MINUTE, False, "Not tried yet", NOT_HAD, False),
    (MINUTE, None, True, "Collects", ASKED_NOW, False),
    (MINUTE, 59 * MINUTE, True, "Collects", ASKED_NOW, False),
    (3 * HOUR, None, False, "Not collected for 3 hours", SILENT, True),
    (3 * HOUR, 2 * HOUR, True, "Not collected for 3 hours", SILENT, True),
    (MINUTE, 2 * HOUR, False, "Not collected for 2 hours", UNCONFIRMED, True),
]


def told(person, address):
    return text(web(person).get(address))


def command(*options):
    output = StringIO()
    call_command("exchange_status", *options, stdout=output)
    return output.getvalue()


def asked(before):
    DeliveryControl.objects.update(asked_at=None if before is None else timezone.now() - before)


def as_smax():
    ExternalSystem.objects.update(delivery="smax")


def operation(**values):
    """The first operation, after it was given these values."""
    OutgoingOperation.objects.update(**values)
    return OutgoingOperation.objects.earliest("sequence")


@pytest.mark.parametrize("delivery", ["pull", "smax"])
@each_row(("before", "age", "has_had", "state", "why", "is_counted"), STATES)
def test_a_system_that_stopped_collecting_is_marked_and_counted(
    ingrid, acme, given, delivery, before, age, has_had, state, why, is_counted
):
    ExternalSystem.objects.update(delivery=delivery)
    DeliveryControl.objects.update(first_delivered_at=timezone.now() if has_had else None)
    asked(before)
    if age is not None:
        given("Router")
        OutgoingOperation.objects.update(created_at=timezone.now() - age)

    page, desk, admin = (told(ingrid, each) for each in (STATUS, DESK, "/admin/integrations/externalsystem/"))
    assert f"{state} {why}" in page
    assert ("1 system does not collect its operations: ACME." in page) == is_counted
    assert ("Operations are not collected 1" in desk) == is_counted
    assert state.partition(" for ")[0] in admin
    report = json.loads(command("--json"))
    assert report["uncollected"] == int(is_counted)
    assert (report["systems"][0]["last_asked_at"] is None) == (before is None)
    assert ("Systems that do not collect their operations: 1." in command()) == is_counted
    for each in (page, desk):
        assert (each.casefold().count("last asked") >= 1) == (before is not None)


def test_a_disabled_system_is_not_one_that_stopped(alice, acme):
    asked(3 * HOUR)
    ExternalSystem.objects.update(enabled=False)
    assert "Disabled ACME is disabled" in told(alice, STATUS)
    assert json.loads(command("--json"))["uncollected"] == 0


# --- Operations ---


def collected(reader):
    reader().collect()


def not_acknowledged(reader):
    reader().collect()
    OutgoingOperation.objects.update(claimed_until=timezone.now() - HOUR)
    outbox.release_stale()


def refused(reader):
    own = reader()
    for each in own.collect():
        own.acknowledge(each, refused="The record is locked")


def acknowledged(reader):
    own = reader()
    for each in own.collect():
        own.acknowledge(each, external_id="C-1")


def of_smax(reader):
    as_smax()


def in_the_feed(reader):
    as_smax()
    outbox.feed(ExternalSystem.objects.get(), None, 0, 10)


def confirmed_by_a_poll(reader):
    in_the_feed(reader)
    (one,) = OutgoingOperation.objects.all()
    attempt = DeliveryAttempt(operation=one, claim=one.claim, started_at=timezone.now(), duration=7384.2)
    attempt.confirmation = Confirmation.LATER_POLL
    outbox.settle([outbox.Result(one, attempt, outbox.Outcome.DELIVERED)])


@each_row(
    ("happens", "said", "unsaid"),
    [
        (lambda reader: asked(MINUTE), ["Waiting", "It waits for ACME to collect it."], ["Retry now", "Confirmed by"]),
        (lambda reader: asked(None), [f"It waits for ACME to collect it. {NEVER}"], ["Retry now"]),
        (lambda reader: asked(3 * HOUR), [f"It waits for ACME to collect it. {SILENT}"], ["Retry now"]),
        (collected, ["Handed out", "ACME has collected it, and has not acknowledged it yet.", "Skip"], ["Retry now"]),
        (not_acknowledged, ["Waiting", "did not acknowledge it in time", "Not acknowledged in time"], ["Retry now"]),
        (
            refused,
            ["Refused", "ACME refused it: The record is locked.", "Refused by the partner", "Retry now", "Skip"],
            ["No answer", "Confirmed by", "HTTP"],
        ),
        (acknowledged, ["Delivered", "Confirmed by The partner acknowledged it", "C-1"], ["No answer", "Retry now"]),
        (of_smax, ["Waiting", "It waits for ACME to collect it."], ["Retry now"]),
        (in_the_feed, ["Handed out", "It is delivered once ACME has named its record."], ["Retry now"]),
        (
            confirmed_by_a_poll,
            ["Delivered", "Confirmed by A later poll asked for what came after it", "2 h 3 min"],
            ["No answer"],
        ),
    ],
)
def test_an_operation_says_how_far_it_is(ingrid, acme, reader, given, happens, said, unsaid):
    change = given("Router")
    happens(reader)
    page = told(ingrid, f"/exchange/{operation().pk}/")
    assert [each for each in said if each not in page] == []
    assert [each for each in unsaid if each in page] == []
    assert said[0] in told(ingrid, f"/changes/{change.number}/")
    assert said[0] in told(ingrid, "/exchange/")


def test_an_operation_of_smax_that_is_no_assign_waits_for_a_later_poll(alice, acme, given):
    change = given("Router", 1)
    in_the_feed(None)
    said = told(alice, f"/exchange/{OutgoingOperation.objects.latest('sequence').pk}/")
    assert "It is delivered once a later poll, or what ACME writes, shows that it has it." in said
    assert "Assign 1 was handed out." in told(alice, f"/changes/{change.number}/")


def test_what_comes_after_another_says_so(alice, acme, given):
    given("Router", 1)
    said = told(alice, f"/exchange/{OutgoingOperation.objects.latest('sequence').pk}/")
    assert "ACME collects it after Assign 1." in said


def test_what_waits_to_be_collected_cannot_be_retried_by_hand(ingrid, acme, given, reader):
    given("Router")
    client, address = web(ingrid), f"/exchange/{operation().pk}/retry/"
    assert "waits for ACME to collect it: nothing was changed." in text(client.post(address, follow=True))
    window = {"since": "2020-01-01T00:00", "until": "2100-01-01T00:00"}
    assert "Nothing to retry" in text(client.post("/exchange/retry/", window))
    refused(reader)
    assert "1 operation is retried" in text(client.post("/exchange/retry/", window, follow=True))
    said = text(client.post(address, follow=True))
    assert "ACME gets Assign 1 to ACME when it next asks, as soon as it is its turn." in said
    assert len(reader().collect()) == 1


@each_row(
    ("before", "tone"),
    [(MINUTE, "To be collected"), (None, f"ACME would collect it. {NEVER}"), (3 * HOUR, f"would collect it. {SILENT}")],
)
def test_a_preview_says_that_it_would_be_collected(alice, acme, given, before, tone):
    asked(before)
    change = given("Router")
    said = told(alice, f"/changes/{change.number}/comments/")
    assert tone in said or tone in told(alice, f"/changes/{change.number}/")


def test_what_was_ignored_of_an_incoming_operation_is_its_note(alice, acme):
    note = "Ignored: Solution."
    known = {"system": acme, "user": acme.authorized_user, "payload": {}, "body_sha256": "0" * 64}
    one = IncomingOperation.objects.create(operation="Update", status="Applied", http_status=200, note=note, **known)
    assert f"Note {note}" in told(alice, f"/exchange/{one.pk}/")
    assert note in told(alice, "/exchange/?direction=in")


@each_row(
    ("happens", "said"),
    [
        (lambda reader: asked(None), ["waits to be collected", "ACME has never asked.", "Connect ACME"]),
        (
            lambda reader: asked(MINUTE),
            ["whenever the partner chooses", "ACME last asked for its operations 1 minute ago"],
        ),
        (lambda reader: asked(3 * HOUR), ["ACME has stopped to ask, or to confirm", "Connect ACME"]),
        (collected, ["has not confirmed it yet", "ACME acknowledges it once it has it."]),
        (not_acknowledged, ["did not acknowledge it in time", "Ask ACME to acknowledge"]),
        (refused, ["ACME refused it: The record is locked.", "Show the reason to ACME"]),
        (in_the_feed, ["has not confirmed it yet", "ACME must write its ExternalId for the record."]),
        (acknowledged, ["It works: ACME has taken the test.", "The partner acknowledged it"]),
    ],
)
def test_a_test_operation_says_what_helps(ingrid, acme, reader, happens, said):
    client = web(ingrid)
    form = client.get(TEST)
    group = str(acme.external_groups.get().group_id)
    assert "It has never asked so far." in text(form)
    address = client.post(TEST, {"group": group})["Location"]
    happens(reader)
    page = text(client.get(address))
    assert [each for each in said if each not in page] == []


def test_a_desk_counts_what_waits_long_only_after_the_time_that_such_a_partner_has(alice, acme, given):
    asked(MINUTE)
    change = given("Router")
    Comment(change=change, author=alice, body="Hello").save()
    for age, is_shown in ((30 * MINUTE, False), (90 * MINUTE, True)):
        OutgoingOperation.objects.update(created_at=timezone.now() - age)
        assert ("Waiting for a long time" in told(alice, DESK)) == is_shown
