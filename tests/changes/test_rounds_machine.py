"""Random edits, decisions and rework of one plan. After each step the change must equal the reference model.

The model is written from the contract, not from the code: an approval is of a plan, and nobody approves their own.
"""

from __future__ import annotations

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from knox.models import AuthToken
from rest_framework.test import APIClient

from changes.actor import acting
from changes.choices import Phase, Role
from changes.models import Change
from integrations.models import ExternalReference
from tests.examples import examples
from tests.factories import ChangeFactory, ExternalSystemFactory, UserFactory

PEOPLE = ("carol", "dora", "erin", "fay")
CREATOR, REQUESTER = "carol", "dora"
PARTNER = "ACME"
VALUES = {"implementation_plan": ("by day", "by night"), "risk": ("Low", "High"), "title": ("One", "Another")}
PLAN = ("implementation_plan", "risk")


class OnePlan(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        users = {name: UserFactory(username=name, roles=[Role.CHANGE_MANAGER]) for name in PEOPLE}
        acme = ExternalSystemFactory(system_id=PARTNER)
        self.clients = {name: self.client_of(user) for name, user in users.items()}
        self.clients[PARTNER] = self.client_of(acme.authorized_user)
        self.values = {name: values[0] for name, values in VALUES.items()}
        with acting(users[CREATOR]):
            change = ChangeFactory(requested_by=users[REQUESTER], **self.values)
            for phase in (Phase.EVALUATE, Phase.PLAN, Phase.APPROVE_PLAN):
                change.move_to(phase)
                change.save()
        ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
        self.path = f"/api/v1/changes/{change.number}/"
        self.round, self.is_open, self.altered_by, self.decisions = 1, True, CREATOR, {}

    def teardown(self):
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @staticmethod
    def client_of(user):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {AuthToken.objects.create(user)[1]}")
        return client

    def new_round(self):
        self.round, self.decisions = self.round + 1, {}

    @rule(who=st.sampled_from([*PEOPLE, PARTNER]), name=st.sampled_from([*VALUES]), place=st.sampled_from([0, 1]))
    def edit(self, who, name, place):
        value = VALUES[name][place]
        if who == PARTNER:
            body = {"system_id": PARTNER, "operation": "Update", "external_id": "C-1", "properties": {name: value}}
            answer = self.clients[who].post("/api/v1/operations/", body, format="json")
        else:
            answer = self.clients[who].patch(self.path, {name: value}, format="json")
        assert answer.status_code == 200, answer.content
        is_altered = self.values[name] != value
        self.values[name] = value
        if is_altered and name in PLAN:
            self.altered_by = who
            if self.is_open:
                self.new_round()

    @rule(who=st.sampled_from(PEOPLE), decision=st.sampled_from(["Approved", "Approved", "Denied"]))
    def decide(self, who, decision):
        answer = self.clients[who].post(f"{self.path}approvals/", {"decision": decision, "comment": "Read"})
        if not self.is_open:
            expected = 409
        elif decision == "Approved" and who in (CREATOR, REQUESTER, self.altered_by):
            expected = 403
        else:
            expected = 409 if who in self.decisions else 201
        assert answer.status_code == expected, answer.content
        if expected == 201:
            self.decisions[who] = decision

    @rule()
    def send_back_or_forth(self):
        target = "Plan" if self.is_open else "ApprovePlan"
        assert self.clients["erin"].post(f"{self.path}transitions/", {"phase": target}).status_code == 200
        self.is_open = not self.is_open
        if self.is_open:
            self.new_round()

    @invariant()
    def the_round_is_what_the_model_says(self):
        if not hasattr(self, "decisions"):
            return
        change = Change.objects.get()
        assert change.approval_round == self.round
        made = {approval.author.username: approval.decision for approval in change.current_approvals()}
        assert made == self.decisions
        if self.is_open:
            deploy = self.clients["erin"].get(f"{self.path}transitions/").json()["results"][0]
            may_deploy = "Approved" in self.decisions.values() and "Denied" not in self.decisions.values()
            assert (deploy["phase"], not deploy["unmet_conditions"]) == ("Deploy", may_deploy)


@pytest.mark.django_db
def test_any_sequence_of_edits_and_decisions_keeps_approvals_to_their_plan():
    run_state_machine_as_test(
        OnePlan,
        settings=settings(
            max_examples=examples(10),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            print_blob=True,
        ),
    )
