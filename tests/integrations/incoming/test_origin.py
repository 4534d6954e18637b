"""Operations that come back to us, or arrive twice, by way of other desks."""

import pytest

from integrations.models import OutgoingOperation
from tests.factories import (
    ChangeFactory,
    ExternalGroupFactory,
)

from .conftest import referenced, refused, state

pytestmark = pytest.mark.django_db


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
        """One Update with two comments is passed on as two Updates with the same origin."""
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
        """Messages that are passed on name it as their origin, so that the first desk recognises its own operation."""
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
