"""Section 4 of the rules: the rules for every operation that a partner sends."""

import pytest
from knox.models import AuthToken

from changes.models import Change, Comment
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
    SupportGroupFactory,
    UserFactory,
)
from tests.pages import text, web
from tests.rows import each_row

from .conftest import referenced, refused, state

pytestmark = pytest.mark.django_db


class TestRule1OtherNames:
    @pytest.mark.any_database
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

    @pytest.mark.any_database
    def test_the_content_of_an_attachment_is_not_kept_twice(self, send):
        referenced(ChangeFactory())
        send("Update", external_id="C-1001", attachments=[{"file_name": "a", "content_base64": "eHl6"}])
        assert IncomingOperation.objects.get().payload["attachments"] == [{"file_name": "a"}]

    @pytest.mark.any_database
    def test_what_is_no_json_is_logged_as_it_came(self, acme, partner_api):
        for body in (b"{nonsense", b"[1]", b"\xff\xfe"):
            partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
        kept = [entry.payload for entry in IncomingOperation.objects.order_by("received_at")]
        assert kept == [{"unreadable": "{nonsense"}, {"unreadable": "[1]"}, {"unreadable": "\ufffd\ufffd"}]

    @pytest.mark.any_database
    def test_a_password_that_is_sent_by_mistake_is_not_kept(self, acme, partner_api):
        for body in ('{"login": "x", "password": "S3cret"}', '{"login": "x", "password": "S3cret"'):
            partner_api(acme).post("/api/v1/operations/", body, content_type="application/json")
        kept = [entry.payload for entry in IncomingOperation.objects.order_by("received_at")]
        assert kept == [
            {"login": "x", "password": "***"},
            {"unreadable": "(left out: it may contain a password)"},
        ]

    def test_a_fault_of_ours_is_logged_too(self, acme, partner_api, settings, tmp_path):
        """Simulates a full storage by a file at the place of its folder."""
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
        send("Update", change_number=change.number, comments=[{"body": "Hi"}])
        assert change.comments.filter(body="Hi").exists()


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
        assert (comment.author, comment.source_system) == (acme.authorized_user, "ACME")

    @pytest.mark.any_database
    @each_row(
        ("name", "shown"), [("J. Doe", "J. Doe (ACME)"), ("", "acme-integration (ACME)"), ("alice", "alice (ACME)")]
    )
    def test_a_partner_s_author_is_shown_with_the_partner(self, send, acme, partner_api, api, alice, name, shown):
        """So that nobody takes a partner's "alice" for ours: on pages, in answers, and in what is passed on."""
        clients = [api(alice), partner_api(acme)]
        change = ChangeFactory()
        referenced(change)
        referenced(change, "BETA", "B-1")
        file = {"file_name": "plan.txt", "content_base64": "eA=="}
        send("Update", external_id="C-1001", comments=[{"body": "Hi", "author": name}], attachments=[file])
        passed_on = OutgoingOperation.objects.get(comment__isnull=False)
        assert passed_on.payload["comment"]["author"] == shown
        for client in clients:
            (comment,) = client.get(f"/api/v1/changes/{change.number}/comments/").json()["results"]
            assert (comment["author"], comment["system_id"]) == (shown, "ACME")
        (attachment,) = api(alice).get(f"/api/v1/changes/{change.number}/attachments/").json()["results"]
        assert attachment["author"] == "acme-integration (ACME)"
        page = text(web(alice).get(f"/changes/{change.number}/"))
        assert f"{shown} from ACME, acting as acme-integration" in page
        assert shown in text(web(alice).get(f"/admin/changes/change/{change.pk}/change/"))


class TestRule8Authority:
    @pytest.mark.any_database
    def test_a_partner_needs_no_role(self, send, acme):
        assert not acme.authorized_user.is_staff
        assert not acme.authorized_user.get_all_permissions()
        assert send("Create", external_id="C-1", properties={"title": "T"}).status_code == 201

    def test_the_log_names_the_token_also_when_it_is_revoked(self, acme, partner_api, ingrid):
        client = partner_api(acme)
        token = AuthToken.objects.get(user=acme.authorized_user)
        name = f"{token.token_key[:8]}…"
        body = {"system_id": "ACME", "operation": "Create", "external_id": "C-1", "properties": {"title": "T"}}
        origin = {"system_id": "DESK", "operation_id": client.post("/api/v1/operations/", body).json()["id"]}
        client.post("/api/v1/operations/", {**body, "origin": origin})
        client.post("/api/v1/operations/", {**body, "operation": "Destroy"})
        client.post("/api/v1/operations/", b"{", content_type="application/json")
        token.delete()
        entries = IncomingOperation.objects.all()
        assert {entry.status for entry in entries} == {"Applied", "Ignored", "Failed"}
        assert {entry.token for entry in entries} == {name}
        for address in ("/exchange/?direction=in", "/admin/integrations/incomingoperation/"):
            assert web(ingrid).get(address).content.decode().count(name) == len(entries) == 4
        for entry in entries:
            for address in (f"/exchange/{entry.pk}/", f"/admin/integrations/incomingoperation/{entry.pk}/change/"):
                assert name in web(ingrid).get(address).content.decode()

    @pytest.mark.any_database
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

    @pytest.mark.any_database
    def test_a_disabled_system_is_forbidden(self, send, acme):
        acme.enabled = False
        acme.save()
        refused(send("Create", external_id="C-1", properties={"title": "T"}), 403)
        assert not Change.objects.exists()
