"""`GET /api/v1/outbox/` and its acknowledgements: what a partner that pulls gets, in which order, what it may say."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.models import Comment
from integrations.models import DeliveryAttempt, ExternalReference, OutgoingOperation
from integrations.outgoing import delivery, outbox
from integrations.outgoing.outbox import leases, order
from tests.factories import ExternalSystemFactory

from .conftest import OUTBOX


def stored(operation):
    return OutgoingOperation.objects.get(pk=operation["id"])


class TestCollecting:
    def test_an_operation_reads_as_it_would_be_pushed(self, acme, reader, given):
        given("Router")
        (collected,) = reader().collect()
        operation = OutgoingOperation.objects.get()
        assert collected == outbox.message(operation)
        assert {*collected} == {
            *("id", "operation", "system_id", "sequence", "created_at", "origin", "change", "changed_fields"),
            *("external_reference", "comment", "attachment"),
        }

    def test_all_that_waits_comes_in_order(self, reader, given):
        given("Router", 2), given("Switch", 1)
        expected = [
            "Assign 1 of Router",
            "Update 2 of Router",
            "Update 3 of Router",
            "Assign 1 of Switch",
            "Update 2 of Switch",
        ]
        assert reader().names() == expected

    def test_a_reader_pages_with_its_cursor_without_acknowledging(self, reader, given):
        given("Router", 1), given("Switch")
        own = reader()
        assert [own.names(limit=1) for _ in range(4)] == [
            ["Assign 1 of Router"],
            ["Update 2 of Router"],
            ["Assign 1 of Switch"],
            [],
        ]

    def test_next_leads_on_as_long_as_there_is_more(self, reader, given):
        for number in range(3):
            given(f"Change {number}")
        client = reader().client
        first = client.get(OUTBOX, {"limit": 2}).json()
        second = client.get(first["next"]).json()
        assert [len(first["results"]), len(second["results"])] == [2, 1]
        assert (second["next"], second["previous"]) == (None, None)

    def test_another_reader_gets_other_changes_and_nothing_behind_what_is_out(self, reader, given, alice):
        router = given("Router")
        one, other = reader(), reader()
        assert one.names() == ["Assign 1 of Router"]
        Comment(change=router, author=alice, body="Later").save()
        given("Switch")
        assert other.names() == ["Assign 1 of Switch"]
        assert one.names() == ["Update 2 of Router"]

    def test_what_is_not_acknowledged_comes_again_with_the_same_id(self, reader, given, leases_run_out):
        given("Router", 1)
        dead = reader().collect()
        assert reader().collect() == []
        leases_run_out()
        again = reader().collect()
        assert [one["id"] for one in again] == [one["id"] for one in dead]
        failures = [(attempt.failure, attempt.error) for attempt in DeliveryAttempt.objects.all()]
        assert failures == [("not_acknowledged", "not acknowledged within 60 s")] * 2

    def test_the_sweep_frees_it_too(self, reader, given, leases_run_out):
        given("Router")
        (operation,) = reader().collect()
        leases_run_out()
        assert outbox.release_stale() == 1
        row = stored(operation)
        assert (row.status, row.last_failure, row.tries) == ("Waiting", "not_acknowledged", 1)

    def test_a_reader_that_comes_back_with_an_older_cursor_gets_what_it_lost_at_once(self, reader, given):
        given("Router", 1), given("Switch")
        own = reader()
        own.collect(limit=1)
        before = own.cursor
        lost = own.collect(limit=2)
        assert own.collect(after=before) == lost

    def test_a_refused_one_holds_up_those_behind_it_only(self, reader, given, ingrid, leases_run_out):
        given("Router", 1), given("Switch")
        own = reader()
        first = own.collect(limit=1)[0]
        assert own.acknowledge(first, refused="We do not know this router").status_code == 200
        assert own.names() == ["Assign 1 of Switch"]
        outbox.retry_now(stored(first))
        assert own.names() == ["Assign 1 of Router", "Update 2 of Router"]

    def test_the_order_holds_when_the_clock_was_set_back(self, reader, given):
        given("Router", 3)
        for sequence, hours in ((2, 3), (3, 1), (4, 2)):
            earlier = timezone.now() - timedelta(hours=hours)
            OutgoingOperation.objects.filter(sequence=sequence).update(created_at=earlier)
        own = reader()
        assert [own.collect(limit=limit)[-1]["sequence"] for limit in (1, 2, 9)] == [1, 3, 4]

    def test_no_worker_sends_it(self, reader, given):
        given("Router")
        assert delivery.drain() == 0
        assert reader().names() == ["Assign 1 of Router"]

    def test_an_answer_has_at_most_so_many_bytes_but_never_nothing(self, reader, given, monkeypatch):
        monkeypatch.setattr(order, "MOST_BYTES", 1)
        given("Router"), given("Switch")
        own = reader()
        assert [own.names(), own.names(), own.names()] == [["Assign 1 of Router"], ["Assign 1 of Switch"], []]

    def test_a_call_waits_while_all_that_waits_stands_behind_a_refused_one(self, acme, reader, given):
        """Otherwise it would be answered at once, again and again."""
        given("Router", 2)
        own = reader()
        _, second, _ = own.collect()
        own.acknowledge(second, refused="Not this one")
        outbox.free(OutgoingOperation.objects.filter(sequence=3), timezone.now())
        assert not outbox.has_something(acme.pk, None)

    def test_what_was_collected_by_pull_is_in_the_feed_of_an_adapter(self, acme, reader, given, leases_run_out):
        given("Router")
        reader().collect()
        leases_run_out()
        acme.delivery = "smax"
        acme.save()
        outbox.release_stale()
        in_an_hour = timezone.now() + timedelta(hours=1)
        assert [one.operation for one in outbox.feed(acme, in_an_hour, 0, 10).operations] == ["Assign"]

    def test_a_page_of_the_feed_has_at_most_so_many_bytes_and_the_total_tells_of_more(self, acme, given, monkeypatch):
        monkeypatch.setattr(order, "MOST_BYTES", 1)
        acme.delivery = "smax"
        acme.save()
        given("Router"), given("Switch")
        pages = [outbox.feed(acme, None, skip, 10) for skip in range(3)]
        assert [(page.total, [one.change.title for one in page.operations]) for page in pages] == [
            (2, ["Router"]),
            (2, ["Switch"]),
            (2, []),
        ]

    def test_an_idle_poll_writes_nothing(self, acme, reader, django_assert_max_num_queries):
        own = reader()
        own.collect()
        with django_assert_max_num_queries(6) as queries:
            own.collect()
        assert not [sql for sql in map(str, queries.captured_queries) if "UPDATE" in sql or "INSERT" in sql]

    def test_it_is_kept_when_the_partner_asked(self, acme, reader):
        before = timezone.now()
        reader().collect()
        acme.control.refresh_from_db()
        assert before <= acme.control.asked_at <= timezone.now()


class TestAcknowledging:
    def test_it_delivers_fills_the_reference_and_is_logged(self, acme, reader, given):
        given("Router")
        (operation,) = reader().collect()
        said = {"external_id": "C-1", "external_url": "https://desk.acme.example/C-1", "external_status": "New"}
        answer = reader().acknowledge(operation, **said)
        reference = ExternalReference.objects.get()
        shown = answer.json()["external_reference"]
        assert answer.status_code == 200
        assert answer.json() | {"external_reference": None} == {
            "id": operation["id"],
            "status": "Delivered",
            "external_reference": None,
        }
        assert {name: shown[name] for name in said} == said
        assert {name: getattr(reference, name) for name in said} == said
        attempt = DeliveryAttempt.objects.get()
        assert (attempt.confirmation, attempt.failure, json.loads(attempt.answer)) == ("acknowledged", "", said)
        assert stored(operation).status == "Delivered"

    def test_a_repeated_one_gets_the_same_answer_and_changes_nothing(self, reader, given):
        given("Router")
        (operation,) = reader().collect()
        first, second = (reader().acknowledge(operation, external_id="C-1") for _ in range(2))
        assert (second.status_code, second.json()) == (200, first.json())
        assert DeliveryAttempt.objects.count() == 1

    def test_many_at_once_each_by_itself(self, acme, reader, given, ingrid):
        for title in ("Router", "Switch", "Cable"):
            given(title)
        router, switch, cable = reader().collect()
        unknown = {"id": str(uuid.uuid4())}
        outbox.release_stale()
        said = [
            {"id": router["id"], "external_id": "C-1"},
            unknown,
            {"id": switch["id"], "refused": "No such switch"},
            {"id": cable["id"], "external_id": "C-1"},
        ]
        answer = reader().client.post(f"{OUTBOX}acknowledge/", {"operations": said})
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [one.get("status") for one in results] == ["Delivered", None, "Refused", "Delivered"]
        assert results[1]["error"]["status"] == 404
        # An id that is taken never fails a delivery. The attempt says why it was not used.
        assert "belongs to another change" in stored(cable).attempts.get().note
        assert (stored(switch).last_failure, stored(switch).last_error) == ("refused", "No such switch")

    def test_several_of_one_change_at_once_name_one_record(self, reader, given):
        given("Router", 2)
        statuses = iter(["New", "Open", "Open"])
        said = [
            {"id": one["id"], "external_id": "C-1", "external_status": next(statuses)} for one in reader().collect()
        ]
        answer = reader().client.post(f"{OUTBOX}acknowledge/", {"operations": said})
        assert [one["external_reference"]["external_id"] for one in answer.json()["results"]] == ["C-1"] * 3
        reference = ExternalReference.objects.get()
        assert (reference.external_id, reference.external_status) == ("C-1", "Open")
        assert {*DeliveryAttempt.objects.values_list("note", "failure")} == {("", "")}

    @pytest.mark.parametrize("said", [{}, {"refused": "No"}])
    def test_a_late_one_counts_as_long_as_the_operation_is_open(self, reader, given, leases_run_out, said):
        given("Router")
        (operation,) = reader().collect()
        leases_run_out()
        outbox.release_stale()
        assert reader().acknowledge(operation, **said).status_code == 200
        assert stored(operation).status == ("Refused" if said else "Delivered")

    def test_one_out_of_order_is_taken_and_those_before_it_come_again(self, reader, given, leases_run_out):
        given("Router", 2)
        _, second, _ = reader().collect()
        reader().acknowledge(second)
        leases_run_out()
        assert reader().names() == ["Assign 1 of Router", "Update 3 of Router"]

    def test_what_stands_behind_a_refused_one_is_not_taken(self, reader, given):
        """In one call or later: it comes again, after a person has decided."""
        given("Router", 2)
        first, second, third = reader().collect()
        said = [{"id": first["id"], "refused": "No such router"}, {"id": second["id"]}]
        answers = reader().client.post(f"{OUTBOX}acknowledge/", {"operations": said}).json()["results"]
        assert (answers[0]["status"], answers[1]["error"]["code"]) == ("Refused", "behind_refused")
        assert reader().acknowledge(third).status_code == 409
        outbox.retry_now(stored(first))
        collecting_again = reader()
        assert collecting_again.names() == []  # the others are out
        outbox.free(OutgoingOperation.objects.filter(status="Sending"), timezone.now())
        assert collecting_again.names() == ["Assign 1 of Router", "Update 2 of Router", "Update 3 of Router"]

    def test_a_person_can_skip_what_was_collected_and_is_never_acknowledged(self, reader, given, ingrid):
        given("Router", 1)
        own = reader()
        (first,) = own.collect(limit=1)
        outbox.skip(stored(first), ingrid, "Done by phone")
        assert stored(first).status == "Skipped"
        assert own.acknowledge(first).status_code == 409
        assert own.names() == ["Update 2 of Router"]

    def test_the_attempts_of_one_that_is_never_acknowledged_are_not_kept_without_end(
        self, reader, given, leases_run_out, monkeypatch
    ):
        monkeypatch.setattr(leases, "MOST_KEPT", 2)
        given("Router")
        for _ in range(4):
            reader().collect()
            leases_run_out()
        outbox.release_stale()
        assert (OutgoingOperation.objects.get().tries, DeliveryAttempt.objects.count()) == (4, 2)

    @pytest.mark.parametrize(
        ("before", "said", "code"),
        [
            ("skipped", {}, "is_skipped"),
            ("delivered", {"refused": "No"}, "is_delivered"),
            ("refused", {}, "is_refused"),
            ("never handed out", {}, "not_handed_out"),
        ],
    )
    def test_one_that_does_not_fit_is_a_conflict_and_changes_nothing(
        self, acme, reader, given, ingrid, leases_run_out, before, said, code
    ):
        given("Router")
        row = OutgoingOperation.objects.get()
        operation = {"id": str(row.pk)}
        if before != "never handed out":
            reader().collect()
        if before == "skipped":
            leases_run_out()
            outbox.release_stale()
            outbox.skip(row, ingrid, "Done by phone")
        if before in ("delivered", "refused"):
            reader().acknowledge(operation, **({"refused": "No"} if before == "refused" else {}))
        was = OutgoingOperation.objects.values().get()
        answer = reader().acknowledge(operation, **said)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, code)
        assert OutgoingOperation.objects.values().get() == was

    def test_the_operation_of_another_partner_does_not_exist(self, acme, beta, partner_api, reader, given):
        given("Router")
        (operation,) = reader().collect()
        answer = partner_api(beta).post(f"{OUTBOX}{operation['id']}/acknowledge/", {})
        assert answer.status_code == 404
        assert stored(operation).status == "Sending"

    def test_a_rejection_meanwhile_leaves_no_reference(self, acme, reader, given, partner_api):
        change = given("Router")
        (operation,) = reader().collect()
        rejected = {"system_id": "ACME", "operation": "Reject", "change_number": change.number}
        assert partner_api(acme).post("/api/v1/operations/", rejected).status_code == 200
        assert reader().acknowledge(operation, external_id="C-1").json()["external_reference"] is None


WRONG = {
    "a limit of none": ("get", {"limit": "0"}, 400, "limit"),
    "too large a limit": ("get", {"limit": "501"}, 400, "limit"),
    "too long a wait": ("get", {"wait": "31"}, 400, "wait"),
    "half a second": ("get", {"wait": "0.5"}, 400, "wait"),
    "a cursor that nobody was given": ("get", {"after": "1-1"}, 400, "after"),
    "no cursor": ("get", {"after": "yesterday"}, 400, "after"),
    "an unknown parameter": ("get", {"since": "1"}, 400, "since"),
    "another's system": ("get", {"system_id": "BETA"}, 403, None),
    "an empty external id": ("post", {"external_id": ""}, 400, "external_id"),
    "an external id with a control character": ("post", {"external_id": "C\u200b1"}, 400, "external_id"),
    "an address that is none": ("post", {"external_url": "C-1"}, 400, "external_url"),
    "an unknown field": ("post", {"status": "Delivered"}, 400, "status"),
    "a refusal without a reason": ("post", {"refused": " "}, 400, "refused"),
    "a refusal with an id": ("post", {"refused": "No", "external_id": "C-1"}, 400, "refused"),
}


@pytest.mark.parametrize(("method", "sent", "status", "attr"), WRONG.values(), ids=WRONG.keys())
def test_bad_input_names_the_field_and_changes_nothing(acme, beta, reader, given, method, sent, status, attr):
    given("Router")
    client = reader().client
    if method == "post":
        (operation,) = reader().collect()
    was = list(OutgoingOperation.objects.values())
    answer = (
        client.get(OUTBOX, sent) if method == "get" else client.post(f"{OUTBOX}{operation['id']}/acknowledge/", sent)
    )
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["attr"] == attr
    assert list(OutgoingOperation.objects.values()) == was


MANY = {
    "none": ([], "operations"),
    "one twice": ([{"id": str(uuid.UUID(int=1))}] * 2, "operations"),
    "no id": ([{}], "operations.0.id"),
    "a wrong one among them": ([{"id": str(uuid.UUID(int=1))}, {"id": "1"}], "operations.1.id"),
}


@pytest.mark.parametrize(("said", "attr"), MANY.values(), ids=MANY.keys())
def test_many_acknowledgements_are_checked_before_any_counts(reader, said, attr):
    answer = reader().client.post(f"{OUTBOX}acknowledge/", {"operations": said})
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, attr)


class TestWhoMayCollect:
    def test_a_system_that_is_pushed_to_is_told_so(self, acme, reader, given):
        acme.delivery, acme.endpoint_url = "push", "https://acme.example/"
        acme.save()
        answer = reader().client.get(OUTBOX)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "not_pull")

    def test_a_disabled_one_collects_nothing_and_all_of_it_later(self, acme, reader, given):
        own = reader()
        acme.enabled = False
        acme.save()
        given("Router")
        assert own.client.get(OUTBOX).status_code == 403
        acme.enabled = True
        acme.save()
        assert own.names() == ["Assign 1 of Router"]

    def test_staff_collect_nothing_and_are_told_who_may(self, acme, ingrid, api):
        assert "Only the authorized users of external systems may" in api(ingrid).get(OUTBOX).json()["detail"]

    def test_a_user_of_several_systems_names_one(self, acme, reader, given):
        ExternalSystemFactory(system_id="ACME-2", delivery="pull", authorized_user=acme.authorized_user)
        given("Router")
        answer = reader().client.get(OUTBOX)
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "system_id")
        assert reader().names(system_id="ACME-2") == []
        assert reader().names(system_id="ACME") == ["Assign 1 of Router"]
