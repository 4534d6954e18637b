"""Operations that come back to us, or arrive twice, by way of other desks."""

import pytest

from integrations.models import IncomingOperation, OutgoingOperation
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory

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

    def test_an_id_of_ours_is_known_whatever_system_stands_with_it(self, send):
        first = send("Create", external_id="C-1", properties={"title": "T", "owning_group": "BETA Servers"}).json()
        ours = OutgoingOperation.objects.get()
        before = state()
        for operation_id in (first["id"], str(ours.pk)):
            for system_id in ("ACME", "DESK", "BETA", "NOBODY"):
                origin = {"system_id": system_id, "operation_id": operation_id}
                answer = send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin)
                self.ignored(answer, before)

    @pytest.mark.parametrize(
        ("relays_for", "status"),
        [(["ACME"], "Ignored"), (["acme"], "Applied"), ([], "Applied"), (["GAMMA"], "Applied")],
    )
    def test_what_another_system_sent_decides_only_where_the_partner_relays_for_it(
        self, send, beta, relays_for, status
    ):
        """BETA neither learns whether ACME's operation came, nor can it pass one on that would suppress ACME's."""
        beta.relays_for = relays_for
        beta.save()
        origin = {"system_id": "ACME", "operation_id": "acme-op-1"}
        send("Create", external_id="C-1", properties={"title": "T"}, key="acme-op-1")
        answer = send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin)
        assert answer.json()["status"] == status
        entry = IncomingOperation.objects.get(system=beta)
        assert (entry.origin_system_id, entry.origin_operation_id) == ("ACME", "acme-op-1"), "kept all the same"

    @pytest.mark.parametrize("is_relay", [True, False])
    def test_an_origin_of_anybody_else_suppresses_nothing(self, send, beta, is_relay):
        """BETA claims the origin before GAMMA, which relays for ACME, passes on the real operation."""
        gamma = ExternalSystemFactory(system_id="GAMMA", relays_for=["ACME"])
        beta.relays_for = ["ACME"] if is_relay else []
        beta.save()
        origin = {"system_id": "ACME", "operation_id": "acme-op-9"}
        send("Create", system="BETA", external_id="B-1", properties={"title": "Forged"}, origin=origin)
        answer = send("Create", system="GAMMA", external_id="G-1", properties={"title": "Real"}, origin=origin)
        assert answer.json()["status"] == ("Ignored" if is_relay else "Applied")
        assert gamma.external_references.count() == (0 if is_relay else 1)

    def test_an_own_operation_that_a_partner_names_as_the_origin_is_applied_once(self, send):
        send("Create", external_id="C-1", properties={"title": "T"}, key="acme-op-1")
        before = state()
        origin = {"system_id": "ACME", "operation_id": "acme-op-1"}
        self.ignored(send("Create", external_id="C-2", properties={"title": "T"}, origin=origin), before)

    @pytest.mark.parametrize("relays_for", [["FAR"], []])
    def test_the_same_origin_over_two_relays_is_applied_once(self, send, acme, beta, relays_for):
        for system in (acme, beta):
            system.relays_for = relays_for
            system.save()
        origin = {"system_id": "FAR", "operation_id": "far-1"}
        first = send("Create", external_id="C-1", properties={"title": "T"}, origin=origin)
        assert first.json()["status"] == "Applied"
        answer = send("Create", system="BETA", external_id="B-1", properties={"title": "T"}, origin=origin)
        assert answer.json()["status"] == ("Ignored" if relays_for else "Applied")

    def test_several_operations_of_one_origin_that_a_desk_passes_on_are_all_applied(self, send, acme, beta):
        """One Update with two comments is passed on as two Updates with the same origin."""
        for system in (acme, beta):
            system.relays_for = ["FAR"]
            system.save()
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
        """Messages that are passed on name it as their origin, so that the first desk recognises its own operation.

        We told BETA of this origin, so it is known when BETA names it, though BETA does not relay for ACME.
        """
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
