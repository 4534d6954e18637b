"""Section 4 of the rules: what a partner's operations do, through `POST /api/v1/operations/`."""

import base64
import uuid

import pytest

from changes.models import Attachment, Change, Comment
from integrations.models import Exchange, ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
    ExternalSystemFactory,
    SupportGroupFactory,
    UserFactory,
    change_in,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(acme, beta, partner_api):
    """`send("Update", external_id=...)` as ACME; `system=` another, `key=` an idempotency key."""
    clients = {}

    def post(operation, system="ACME", key=None, **fields):
        partner = ExternalSystemFactory(system_id=system)
        client = clients.setdefault(system, partner_api(partner))
        body = {"system_id": system, "operation": operation, **fields}
        headers = {"Idempotency-Key": key} if key else {}
        return client.post("/api/v1/operations/", body, format="json", headers=headers)

    return post


@pytest.fixture
def network():
    return SupportGroupFactory(name="Network")


def referenced(change, system_id="ACME", external_id="C-1001", **fields):
    system = ExternalSystemFactory(system_id=system_id)
    return ExternalReference.objects.create(change=change, system=system, external_id=external_id, **fields)


def state():
    """Everything that an operation could alter, the log of incoming ones aside."""
    models = (Change, Comment, Attachment, ExternalReference, Exchange, OutgoingOperation)
    return {model.__name__: [*model.objects.order_by("pk").values()] for model in models}


def refused(response, status, attr=None):
    """The problem of a refused operation, which must be about `attr`."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    if attr:
        assert attr in [error["attr"] for error in problem["errors"]], problem
    return problem


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
        assert send("Create", external_id="C-1", properties={"title": "T", "phase": "Log"}).status_code == 201

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
            ("Parts ordered", "public", "J. Doe"),
            ("For us", "private", "acme-integration"),
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
        """No skipping: only a phase one transition away."""
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
        response = send("Update", external_id="C-1001", properties={"change_type": "Standard", "phase": "Plan"})
        assert response.status_code == 200, response.content
        change.refresh_from_db()
        assert (change.change_type, change.phase) == ("Standard", "Plan")

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
        assert sent_to("ACME") == ["Assign"]  # from before: no Accept echoes

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


class TestRule1OtherNames:
    @pytest.mark.parametrize("name", ["Close", "create", "UPDATE", "", " Create", "Accept"])
    def test_any_other_name_is_refused_with_an_error_that_lists_the_five(self, send, name):
        problem = refused(send(name, external_id="C-1"), 400, "operation")
        text = str(problem["errors"])
        assert all(word in text for word in ("Create", "Update", "Assign", "Reject", "Cancel"))


class TestRule2OneTransaction:
    def test_a_failed_operation_is_logged_with_what_came_from_whom_and_why(self, send, acme):
        change = ChangeFactory()
        referenced(change)
        send("Update", external_id="C-1001", change_number=change.number, properties={"phase": "Close"}, key="k-1")
        entry = IncomingOperation.objects.get()
        assert (entry.system, entry.user, entry.operation) == (acme, acme.authorized_user, "Update")
        assert (entry.status, entry.http_status, entry.idempotency_key) == ("Failed", 409, "k-1")
        assert entry.payload["properties"] == {"phase": "Close"}
        assert "Close" in entry.error
        assert entry.change == change

    @pytest.mark.parametrize("by", ["change_number", "external_id"])
    def test_the_log_entry_of_a_failed_operation_belongs_to_the_change_that_it_names(self, send, by):
        change = ChangeFactory()
        referenced(change)
        refused(
            send("Update", **{by: {"change_number": change.number, "external_id": "C-1001"}[by]}, properties={"x": 1}),
            400,
        )
        assert IncomingOperation.objects.get().change == change

    def test_the_content_of_an_attachment_is_not_kept_twice(self, send):
        referenced(ChangeFactory())
        send("Update", external_id="C-1001", attachments=[{"file_name": "a", "content_base64": "eHl6"}])
        assert IncomingOperation.objects.get().payload["attachments"] == [{"file_name": "a"}]

    def test_what_is_no_json_is_logged_as_it_came(self, acme, partner_api):
        for body in (b"{nonsense", b"[1]", b"\xff\xfe"):
            partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
        kept = [entry.payload for entry in IncomingOperation.objects.order_by("received_at")]
        assert kept == [{"unreadable": "{nonsense"}, {"unreadable": "[1]"}, {"unreadable": "\ufffd\ufffd"}]

    def test_a_fault_of_ours_is_logged_too(self, acme, partner_api, settings, tmp_path):
        """The storage is full, or here: a file where its folder should be."""
        (tmp_path / "media").write_text("")
        settings.MEDIA_ROOT = str(tmp_path / "media")
        referenced(ChangeFactory())
        before = state()
        body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1001"}
        body["attachments"] = [{"file_name": "a", "content_base64": "eA=="}]
        client = partner_api(acme)
        client.raise_request_exception = False
        response = client.post("/api/v1/operations/", body, format="json")
        assert response.status_code == 500
        assert response["Content-Type"] == "application/problem+json"
        assert state() == before
        entry = IncomingOperation.objects.get()
        assert (entry.status, entry.http_status) == ("Failed", 500)


class TestRule3Reach:
    def test_a_change_that_is_not_linked_answers_as_if_it_did_not_exist(self, send):
        other = ChangeFactory()
        referenced(other, "BETA", "B-1")
        before = state()
        hidden = refused(send("Update", change_number=other.number, comments=[{"body": "Hi"}]), 404)
        missing = refused(send("Update", change_number="CHG9999999", comments=[{"body": "Hi"}]), 404)
        assert hidden == missing
        hidden = refused(send("Update", external_id="B-1", comments=[{"body": "Hi"}]), 404)
        missing = refused(send("Update", external_id="C-404", comments=[{"body": "Hi"}]), 404)
        assert hidden == missing
        assert state() == before

    def test_a_hidden_change_with_a_known_external_id_is_no_conflict(self, send):
        referenced(ChangeFactory())
        hidden = ChangeFactory()
        before = state()
        first = refused(send("Update", external_id="C-1001", change_number=hidden.number), 404)
        second = refused(send("Update", external_id="C-1001", change_number="CHG9999999"), 404)
        assert first == second
        assert state() == before

    @pytest.mark.parametrize("link", ["reference", "owning group", "assign before an accept"])
    def test_each_link_gives_reach(self, send, network, link):
        external = ExternalGroupFactory(group__name="ACME Networks").group
        if link == "reference":
            change = ChangeFactory()
            referenced(change)
        elif link == "owning group":
            change = ChangeFactory(owning_group=SupportGroupFactory(name="Late"))
            ExternalGroupFactory(group=change.owning_group, system__system_id="ACME")
        else:
            change = ChangeFactory(owning_group=external)
            change.owning_group = network
            change.save()
        assert send("Update", change_number=change.number, comments=[{"body": "Hi"}]).status_code == 200


class TestRule4Once:
    def test_a_repeat_answers_the_first_result_and_changes_nothing(self, send):
        fields = {"external_id": "C-1", "properties": {"title": "T"}, "comments": [{"body": "Once"}]}
        first = send("Create", key="k-1", **fields)
        assert "Idempotent-Replayed" not in first
        Change.objects.get()
        before = state()
        again = send("Create", key="k-1", **fields)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again["Idempotent-Replayed"] == "true"
        assert state() == before

    def test_the_first_result_stays_whatever_happened_since(self, send):
        change = ChangeFactory()
        referenced(change)
        first = send("Update", key="k-1", external_id="C-1001", properties={"title": "One"})
        send("Update", key="k-2", external_id="C-1001", properties={"title": "Two"})
        again = send("Update", key="k-1", external_id="C-1001", properties={"title": "One"})
        assert again.json() == first.json()
        assert Change.objects.get().title == "Two"

    def test_webhook_id_is_taken_too(self, acme, partner_api):
        client = partner_api(acme)
        body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
        answers = [
            client.post("/api/v1/operations/", body, format="json", headers={"webhook-id": "msg_1"}) for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        assert Change.objects.count() == 1

    def test_the_same_key_with_another_body_is_a_conflict(self, send):
        send("Create", key="k-1", external_id="C-1", properties={"title": "T"})
        before = state()
        refused(send("Create", key="k-1", external_id="C-2", properties={"title": "T"}), 409)
        assert state() == before

    def test_a_key_belongs_to_its_system(self, send):
        for system in ("ACME", "BETA"):
            assert send("Create", system=system, key="k", external_id="C", properties={"title": "T"}).status_code == 201
        assert Change.objects.count() == 2

    def test_a_failed_operation_frees_its_key(self, send):
        change = ChangeFactory(description="")
        referenced(change)
        fields = {"external_id": "C-1001", "properties": {"phase": "Evaluate"}}
        refused(send("Update", key="k-1", **fields), 422)
        change.description = "Now it is"
        change.save()
        answer = send("Update", key="k-1", **fields)
        assert (answer.status_code, "Idempotent-Replayed" in answer) == (200, False)
        assert Change.objects.get().phase == "Evaluate"
        assert [entry.status for entry in IncomingOperation.objects.order_by("received_at")] == ["Failed", "Applied"]

    @pytest.mark.parametrize("length", [255, 256])
    def test_a_key_has_up_to_255_characters(self, send, length):
        answer = send("Create", key="k" * length, external_id="C-1", properties={"title": "T"})
        assert answer.status_code == (201 if length == 255 else 400)


class TestRule5Target:
    def test_the_change_number_stores_the_external_id_that_comes_with_it(self, send, acme):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        response = send("Update", change_number=change.number, external_id="C-7", external_status="Seen")
        assert response.status_code == 200
        reference = ExternalReference.objects.get()
        assert (reference.change, reference.external_id, reference.external_status) == (change, "C-7", "Seen")

    def test_a_status_without_any_reference_to_keep_it_is_refused(self, send):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        before = state()
        refused(send("Update", change_number=change.number, external_status="Seen"), 400, "external_id")
        assert state() == before

    def test_another_id_than_the_reference_is_a_conflict(self, send):
        change = ChangeFactory()
        referenced(change)
        before = state()
        refused(
            send("Update", change_number=change.number, external_id="C-2", comments=[{"body": "x"}]), 409, "external_id"
        )
        assert state() == before

    def test_an_id_of_another_change_is_a_conflict(self, send):
        referenced(ChangeFactory())
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        before = state()
        refused(send("Update", change_number=change.number, external_id="C-1001"), 409, "external_id")
        assert state() == before

    @pytest.mark.parametrize("operation", ["Update", "Assign", "Reject", "Cancel"])
    def test_one_of_the_two_is_needed(self, send, operation):
        refused(send(operation), 400, "external_id")


class TestRule6Source:
    def test_what_arrives_shows_the_system_acting_as_its_authorized_user(self, send, acme):
        change = ChangeFactory()
        referenced(change)
        send("Update", external_id="C-1001", properties={"title": "New"}, comments=[{"body": "Hi", "author": "J. Doe"}])
        record = change.history.first()
        assert (record.history_user, record.source_system) == (acme.authorized_user, "ACME")
        comment = Comment.objects.get()
        assert (comment.author, comment.author_label, comment.source_system) == (acme.authorized_user, "J. Doe", "ACME")


class TestRule8Authority:
    def test_a_partner_needs_no_role(self, send, acme):
        assert not acme.authorized_user.is_staff
        assert not acme.authorized_user.get_all_permissions()
        assert send("Create", external_id="C-1", properties={"title": "T"}).status_code == 201

    def test_only_the_authorized_user_speaks_for_a_system(self, acme, beta, partner_api, api, alice):
        body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
        for client in (
            partner_api(beta),
            api(alice),
            api(UserFactory(username="mallory", roles=[], is_superuser=True)),
        ):
            refused(client.post("/api/v1/operations/", body, format="json"), 403)
        assert api().post("/api/v1/operations/", body, format="json").status_code == 401
        assert not Change.objects.exists()

    @pytest.mark.parametrize("system_id", ["acme", "Acme", "NOBODY"])
    def test_the_system_id_is_taken_letter_for_letter(self, acme, partner_api, system_id):
        body = {"system_id": system_id, "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
        refused(partner_api(acme).post("/api/v1/operations/", body, format="json"), 403)
        assert not Change.objects.exists()

    def test_a_disabled_system_is_forbidden(self, send, acme):
        acme.enabled = False
        acme.save()
        refused(send("Create", external_id="C-1", properties={"title": "T"}), 403)
        assert not Change.objects.exists()


class TestOrigin:
    """Rule 9 of section 3: no loops over several desks."""

    def ignored(self, response, before):
        assert response.status_code == 200, response.content
        assert response.json()["status"] == "Ignored"
        assert state() == before

    def test_an_operation_of_ours_that_comes_back_is_ignored(self, send):
        change = ChangeFactory(owning_group=ExternalGroupFactory(group__name="ACME Networks").group)
        ours = OutgoingOperation.objects.get()
        before = state()
        origin = {"system_id": "DESK", "operation_id": str(ours.pk)}
        self.ignored(send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin), before)
        answer = send("Update", change_number=change.number, properties={"title": "T"}, origin=origin)
        self.ignored(answer, before)

    def test_one_that_was_applied_here_before_is_ignored(self, send):
        first = send("Create", external_id="C-1", properties={"title": "T"}, key="acme-op-1").json()
        before = state()
        for operation_id in (first["id"], "acme-op-1"):
            origin = {"system_id": "ACME", "operation_id": operation_id}
            answer = send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin)
            self.ignored(answer, before)

    def test_the_same_origin_over_two_ways_is_applied_once(self, send):
        origin = {"system_id": "FAR", "operation_id": "far-1"}
        first = send("Create", external_id="C-1", properties={"title": "T"}, origin=origin)
        assert first.json()["status"] == "Applied"
        before = state()
        answer = send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin)
        self.ignored(answer, before)

    def test_several_operations_of_one_origin_that_a_desk_passes_on_are_all_applied(self, send):
        """One Update with two comments goes on as two Updates, both with the origin of the one."""
        change = ChangeFactory()
        referenced(change)
        origin = {"system_id": "FAR", "operation_id": "far-1"}
        for text in ("one", "two"):
            answer = send("Update", external_id="C-1001", comments=[{"body": text}], origin=origin)
            assert answer.json()["status"] == "Applied"
        before = state()
        self.ignored(send("Update", external_id="C-1001", comments=[{"body": "two"}], origin=origin), before)
        referenced(change, "BETA", "B-1")
        before = state()
        answer = send("Update", system="BETA", external_id="B-1", comments=[{"body": "three"}], origin=origin)
        self.ignored(answer, before)

    def test_a_webhook_id_is_the_operation_s_id_at_its_origin(self, acme, beta, partner_api):
        """What is passed on names it so, and the desk where it began knows it as its own."""
        body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
        body["properties"]["owning_group"] = "BETA Servers"
        headers = {"webhook-id": "acme-op-7"}
        assert partner_api(acme).post("/api/v1/operations/", body, format="json", headers=headers).status_code == 201
        origin = OutgoingOperation.objects.get().cause.origin
        assert origin == {"system_id": "ACME", "operation_id": "acme-op-7"}
        body = {"system_id": "BETA", "operation": "Create", "external_id": "B-1", "properties": {"title": "T"}}
        answer = partner_api(beta).post("/api/v1/operations/", {**body, "origin": origin}, format="json")
        assert answer.json()["status"] == "Ignored"

    def test_what_is_passed_on_names_where_it_began(self, send):
        origin = {"system_id": "FAR", "operation_id": "far-1"}
        send("Create", external_id="C-1", properties={"title": "T", "owning_group": "BETA Servers"}, origin=origin)
        assert OutgoingOperation.objects.get().cause.origin == origin

    def test_a_failed_operation_is_not_one_that_was_applied(self, send):
        origin = {"system_id": "FAR", "operation_id": "far-1"}
        refused(send("Update", external_id="C-404", comments=[{"body": "x"}], origin=origin), 404)
        answer = send("Create", external_id="C-1", properties={"title": "T"}, origin=origin)
        assert (answer.status_code, answer.json()["status"]) == (201, "Applied")

    def test_null_is_no_origin(self, send):
        answer = send("Create", external_id="C-1", properties={"title": "T"}, origin=None)
        assert answer.json()["status"] == "Applied"
