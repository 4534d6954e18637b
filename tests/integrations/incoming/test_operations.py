"""Section 4 of the rules: the effect of each operation that a partner sends."""

import base64
import uuid

import pytest
from django.utils import timezone

from changes.models import Change, Comment
from integrations.models import (
    DeliveryAttempt,
    ExternalReference,
    ExternalSystem,
    IncomingOperation,
    OutgoingOperation,
)
from integrations.outgoing import outbox
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
    SupportGroupFactory,
    change_in,
)
from tests.pages import text, web

from .conftest import referenced, refused, state

pytestmark = pytest.mark.django_db


def sent_to(system_id):
    rows = OutgoingOperation.objects.filter(system__system_id=system_id).order_by("sequence")
    return [row.operation for row in rows]


class TestCreate:
    def test_it_creates_the_change_in_log_and_the_reference(self, send, acme):
        response = send(
            "Create",
            external_id="C-1001",
            external_url="https://desk.acme.example/C-1001",
            external_status="New",
            properties={"title": "Replace core switch", "risk": "High", "owning_group": None},
        )
        assert response.status_code == 201
        change = Change.objects.get()
        assert (change.phase, change.title, change.risk) == ("Log", "Replace core switch", "High")
        assert change.requested_by == acme.authorized_user
        reference = ExternalReference.objects.get()
        assert (reference.change, reference.system, reference.external_id) == (change, acme, "C-1001")
        assert (reference.external_url, reference.external_status) == ("https://desk.acme.example/C-1001", "New")
        body = response.json()
        assert (body["operation"], body["status"]) == ("Create", "Applied")
        assert body["change"]["number"] == change.number
        assert body["external_reference"]["external_id"] == "C-1001"
        assert IncomingOperation.objects.get().pk == uuid.UUID(body["id"])

    def test_log_may_be_named(self, send):
        send("Create", external_id="C-1", properties={"title": "T", "phase": "Log"})
        assert Change.objects.get().phase == "Log"

    @pytest.mark.parametrize("phase", ["Evaluate", "Plan", "Close", "Abandon"])
    def test_another_phase_is_refused(self, send, phase):
        response = send("Create", external_id="C-1", properties={"title": "T", "phase": phase})
        refused(response, 400, "properties.phase")
        assert not Change.objects.exists()

    def test_an_external_id_that_is_taken_is_a_conflict_that_names_the_change(self, send):
        first = send("Create", external_id="C-1", properties={"title": "T"}, key="one").json()
        problem = refused(send("Create", external_id="C-1", properties={"title": "T"}, key="two"), 409, "external_id")
        assert first["change"]["number"] in problem["detail"]
        assert Change.objects.count() == 1

    def test_two_systems_may_use_the_same_id(self, send):
        for system in ("ACME", "BETA"):
            response = send("Create", system=system, external_id="C-1", properties={"title": "T"})
            assert response.status_code == 201
        assert Change.objects.count() == 2

    def test_with_the_group_of_another_partner_it_goes_on_to_that_one(self, send):
        send(
            "Create",
            external_id="C-1",
            properties={"title": "T", "owning_group": "BETA Servers"},
            comments=[{"body": "Urgent"}],
        )
        assert sent_to("BETA") == ["Assign", "Update"]
        assert sent_to("ACME") == []

    def test_with_its_own_group_it_gets_no_assign(self, send):
        send("Create", external_id="C-1", properties={"title": "T", "owning_group": "ACME Networks"})
        assert not OutgoingOperation.objects.exists()

    def test_without_a_title_it_is_refused(self, send):
        refused(send("Create", external_id="C-1", properties={"risk": "Low"}), 400, "properties.title")
        refused(send("Create", external_id="C-1"), 400, "properties.title")
        refused(send("Create", properties={"title": "T"}), 400, "external_id")
        assert not Change.objects.exists()


class TestUpdate:
    def test_it_sets_fields_comments_attachments_and_status(self, send, network):
        change = ChangeFactory()
        referenced(change)
        content = base64.b64encode(b"plan").decode()
        response = send(
            "Update",
            external_id="C-1001",
            external_status="In progress",
            properties={"title": "New title", "risk": None, "planned_start": None, "description": ""},
            comments=[{"body": "Parts ordered", "author": "J. Doe"}, {"body": "For us", "visibility": "private"}],
            attachments=[{"file_name": "plan.pdf", "content_type": "application/pdf", "content_base64": content}],
        )
        assert response.status_code == 200, response.content
        change.refresh_from_db()
        assert (change.title, change.risk, change.planned_start, change.description) == ("New title", None, None, "")
        assert [(c.body, c.visibility, c.author_label) for c in change.comments.all()] == [
            ("Parts ordered", "public", "J. Doe (ACME)"),
            ("For us", "private", "acme-integration (ACME)"),
        ]
        attachment = change.attachments.get()
        assert (attachment.file_name, attachment.content_type, attachment.size) == ("plan.pdf", "application/pdf", 4)
        assert attachment.file.read() == b"plan"
        assert ExternalReference.objects.get().external_status == "In progress"
        assert response.json()["external_reference"]["external_status"] == "In progress"
        assert "For us" not in response.content.decode()

    def test_the_current_phase_is_no_transition(self, send):
        change = change_in("Plan")
        referenced(change)
        response = send("Update", external_id="C-1001", properties={"phase": "Plan", "title": "New"})
        assert response.status_code == 200
        change.refresh_from_db()
        assert (change.phase, change.title) == ("Plan", "New")

    def test_the_transition_is_made_after_the_other_fields_are_set(self, send):
        change = ChangeFactory(description="")
        referenced(change)
        response = send("Update", external_id="C-1001", properties={"phase": "Evaluate", "description": "Now it is"})
        assert response.status_code == 200
        assert Change.objects.get().phase == "Evaluate"

    @pytest.mark.parametrize("target", ["Plan", "Deploy", "Close", "Backout"])
    def test_without_a_transition_the_whole_operation_fails(self, send, target):
        """Only a phase one transition away is possible."""
        change = ChangeFactory()
        referenced(change)
        before = state()
        response = send(
            "Update",
            external_id="C-1001",
            external_status="Done",
            properties={"phase": target, "title": "New"},
            comments=[{"body": "Lost"}],
            attachments=[{"file_name": "a", "content_base64": "eA=="}],
        )
        refused(response, 409, "properties.phase")
        assert state() == before

    def test_with_a_condition_unmet_the_whole_operation_fails_and_each_is_named(self, send):
        change = ChangeFactory(description="", service="")
        referenced(change)
        before = state()
        response = send(
            "Update",
            external_id="C-1001",
            properties={"phase": "Evaluate", "title": "New"},
            comments=[{"body": "Lost"}],
        )
        problem = refused(response, 422)
        assert [error["attr"] for error in problem["errors"]] == ["properties.description", "properties.service"]
        assert state() == before

    def test_an_attachment_that_cannot_be_kept_fails_the_whole_operation(self, send, settings):
        settings.ATTACHMENT_MAX_BYTES = 3
        change = ChangeFactory()
        referenced(change)
        before = state()
        files = [
            {"file_name": "a", "content_base64": base64.b64encode(b"abc").decode()},
            {"file_name": "b", "content_base64": base64.b64encode(b"abcd").decode()},
        ]
        response = send("Update", external_id="C-1001", properties={"title": "New"}, attachments=files)
        refused(response, 413)
        assert state() == before

    @pytest.mark.parametrize("phase", ["Close", "Abandon"])
    def test_in_a_final_phase_comments_are_taken_and_fields_are_not(self, send, phase):
        change = change_in(phase)
        referenced(change)
        assert send("Update", external_id="C-1001", comments=[{"body": "Late"}]).status_code == 200
        before = state()
        refused(send("Update", external_id="C-1001", properties={"title": "New"}), 409, "properties.title")
        assert state() == before

    def test_a_new_type_and_its_phase_may_come_together(self, send):
        change = ChangeFactory()
        referenced(change)
        response = send("Update", external_id="C-1001", properties={"change_type": "Emergency", "phase": "ApprovePlan"})
        assert response.status_code == 200, response.content
        change.refresh_from_db()
        assert (change.change_type, change.phase) == ("Emergency", "ApprovePlan")

    def test_the_files_of_a_failed_operation_are_removed(self, acme, partner_api, settings, tmp_path, monkeypatch):
        settings.MEDIA_ROOT = str(tmp_path)
        referenced(ChangeFactory())
        files = [{"file_name": name, "content_base64": "eA=="} for name in "ab"]
        body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1001", "attachments": files}
        client = partner_api(acme)
        client.raise_request_exception = False

        def kept():
            return [path for path in tmp_path.rglob("*") if path.is_file()]

        with monkeypatch.context() as patch:
            patch.setattr("integrations.incoming.receiving.keep", None)
            assert client.post("/api/v1/operations/", body, format="json").status_code == 500
        assert kept() == []
        assert client.post("/api/v1/operations/", body, format="json").status_code == 200
        assert len(kept()) == 2

    def test_any_group_may_be_named(self, send, network):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        assert send("Update", change_number=change.number, properties={"owning_group": "Network"}).status_code == 200
        change.refresh_from_db()
        assert change.owning_group == network
        assert sent_to("ACME") == ["Assign"]  # the earlier Assign; the partner's own operation causes no Accept

    def test_what_it_changes_goes_to_the_other_linked_systems(self, send, acme, beta):
        change = ChangeFactory()
        referenced(change, "ACME")
        referenced(change, "BETA", "B-1")
        response = send("Update", external_id="C-1001", comments=[{"body": "Hello"}])
        operation = OutgoingOperation.objects.get()
        assert (operation.system, operation.operation) == (beta, "Update")
        assert operation.cause.origin == {"system_id": "ACME", "operation_id": response.json()["id"]}


class TestAssign:
    def test_it_adds_the_comment(self, send, acme):
        change = ChangeFactory()
        referenced(change)
        assert send("Assign", external_id="C-1001").status_code == 200
        comment = Comment.objects.get()
        assert comment.body == "Change was assigned locally from external system"
        assert (comment.author, comment.source_system) == (acme.authorized_user, "ACME")


class TestReject:
    def test_it_deletes_the_reference_and_adds_the_comment(self, send, acme):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        referenced(change)
        response = send("Reject", external_id="C-1001", comments=[{"body": "Not our site"}])
        assert response.status_code == 200
        assert response.json()["external_reference"] is None
        assert not ExternalReference.objects.exists()
        assert [comment.body for comment in Comment.objects.all()] == [
            "Change was rejected by the external fulfillment system",
            "Not our site",
        ]
        assert sent_to("ACME") == ["Assign"]

    def test_without_a_reference_it_does_the_same(self, send):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        assert send("Reject", change_number=change.number).status_code == 200
        assert Comment.objects.get().body == "Change was rejected by the external fulfillment system"

    def test_the_partner_still_reaches_the_change_by_its_number(self, send):
        change = ChangeFactory()
        referenced(change)
        send("Reject", external_id="C-1001")
        assert send("Update", change_number=change.number, comments=[{"body": "PS"}]).status_code == 200
        refused(send("Update", external_id="C-1001", comments=[{"body": "PS"}]), 404)

    @pytest.mark.parametrize("delivery", ["push", "pull"])
    def test_what_still_waits_is_not_sent_any_more(self, send, acme, alice, ingrid, delivery):
        ExternalSystem.objects.update(delivery=delivery)
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        Comment(change=change, author=alice, body="Now or never").save()
        for _ in range(2):
            assert send("Reject", change_number=change.number).status_code == 200
            assert {row.status for row in OutgoingOperation.objects.all()} == {"Skipped"}
        assert outbox.claim(10) == []
        said = text(web(ingrid).get(f"/exchange/{OutgoingOperation.objects.first().pk}/"))
        assert "The partner rejected the change before it was sent." in said
        change.refresh_from_db()
        for group in (None, ExternalGroupFactory(group__name="ACME Networks").group):
            change.owning_group = group
            change.save()
        assert [row.status for row in OutgoingOperation.objects.order_by("sequence")] == ["Skipped"] * 2 + ["Waiting"]
        assert OutgoingOperation.objects.get(is_next=True).operation == "Assign"

    def test_a_try_that_fails_after_it_is_not_repeated(self, send, acme):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        (operation,) = outbox.claim(10)
        send("Reject", change_number=change.number)
        assert OutgoingOperation.objects.get().status == "Sending", "it is on its way"
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0)
        outbox.settle([outbox.Result(operation, attempt, outbox.Outcome.RETRY, "no answer")])
        assert OutgoingOperation.objects.get().status == "Skipped"

    def test_afterwards_nothing_but_a_new_assign_goes_there(self, send, network, alice):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        send("Reject", change_number=change.number)
        Comment(change=change, author=alice, body="Why?").save()
        change.refresh_from_db()
        change.owning_group = network
        change.save()
        assert sent_to("ACME") == ["Assign"]
        change.owning_group = SupportGroupFactory(name="ACME Networks")
        change.save()
        Comment(change=change, author=alice, body="Please").save()
        assert sent_to("ACME") == ["Assign", "Assign", "Update"]


class TestCancel:
    @pytest.mark.parametrize(
        ("change_type", "phase"),
        [
            *[("Normal", phase) for phase in ("Log", "Evaluate", "Plan", "ApprovePlan")],
            *[("Standard", phase) for phase in ("Log", "Plan")],
            *[("Emergency", phase) for phase in ("Log", "ApprovePlan")],
        ],
    )
    def test_it_withdraws_and_abandons(self, send, change_type, phase):
        change = change_in(phase, change_type)
        referenced(change)
        referenced(change, "BETA", "B-1")
        assert send("Cancel", external_id="C-1001").status_code == 200
        change.refresh_from_db()
        assert (change.phase, change.completion_code) == ("Abandon", "Withdrawn")
        assert sent_to("ACME") == []
        assert sent_to("BETA") == ["Cancel"]

    def test_on_a_change_that_is_both_already_it_changes_nothing(self, send):
        change = change_in("Abandon")
        referenced(change)
        before = state()
        assert send("Cancel", external_id="C-1001").status_code == 200
        assert state() == before

    @pytest.mark.parametrize(
        ("change_type", "phase"),
        [
            *[("Normal", phase) for phase in ("Deploy", "Backout", "Validate", "Review", "Close")],
            *[("Standard", phase) for phase in ("Deploy", "Backout", "Validate", "Review", "Close")],
            *[("Emergency", phase) for phase in ("Deploy", "Backout", "Validate", "Review", "Close")],
        ],
    )
    def test_without_a_transition_to_abandon_the_whole_operation_fails(self, send, change_type, phase):
        change = change_in(phase, change_type)
        referenced(change)
        before = state()
        refused(send("Cancel", external_id="C-1001", external_status="Off", comments=[{"body": "Lost"}]), 409)
        assert state() == before

    def test_on_an_abandoned_change_that_was_rejected_it_fails(self, send):
        change = ChangeFactory(completion_code="Rejected")
        change.move_to("Abandon")
        change.save()
        referenced(change)
        before = state()
        refused(send("Cancel", external_id="C-1001"), 409)
        assert state() == before
