"""Random edits of one change through every interface. After each step the outbox must equal the reference model.

The model is written from the contract, not from the code. It keeps simple flags and lists, without sequences, signals
or a database.
"""

from __future__ import annotations

import itertools

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from knox.models import AuthToken
from rest_framework.test import APIClient

from changes.choices import CompletionCode, Phase, Role
from changes.models import Change, Comment
from integrations.models import OutgoingOperation
from tests.examples import examples
from tests.factories import ExternalGroupFactory, ExternalSystemFactory, SupportGroupFactory, UserFactory

SYSTEMS = ("ACME", "BETA", "GAMMA")
GROUPS = {
    None: None,
    "Network": None,
    "Servers": None,
    "ACME Networks": "ACME",
    "ACME Servers": "ACME",
    "BETA Servers": "BETA",
    "GAMMA Software": "GAMMA",
}
CODES = (None, "Withdrawn", "Failed", "Rejected")


class Model:
    """A model of section 3 of the contract for one change."""

    def __init__(self) -> None:
        self.group, self.code = None, None
        self.references, self.assigned, self.rejected, self.cancelled = set(), set(), set(), set()
        self.sent = []

    def linked(self):
        by_group = {GROUPS[self.group]} - {None}
        return sorted((by_group | self.references | self.assigned) - self.rejected)

    def send(self, operation, system, cause):
        if system == cause:
            return
        if operation == "Assign":
            self.assigned.add(system), self.rejected.discard(system), self.cancelled.discard(system)
        if operation == "Cancel":
            self.cancelled.add(system)
        self.sent.append((system, operation))

    def save(self, group, code, cause=None):
        old, new = GROUPS[self.group], GROUPS[group]
        withdrawn = code == "Withdrawn" and self.code != "Withdrawn"
        self.group, self.code = group, code
        if old != new:
            if old and old not in self.rejected:
                self.send("Accept", old, cause)
            if new:
                self.send("Assign", new, cause)
        for system in self.linked() if withdrawn else []:
            if system not in self.cancelled:
                self.send("Cancel", system, cause)

    def add(self, cause=None):
        for system in self.linked():
            if system not in self.cancelled:
                self.send("Update", system, cause)

    def reject(self, system):
        self.rejected.add(system), self.assigned.discard(system), self.references.discard(system)
        self.add(system)


class OneChange(RuleBasedStateMachine):
    """The change, its three partners, and the interfaces: shell, API, page, admin and incoming operations."""

    @initialize()
    def begin(self) -> None:
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        for name, system_id in GROUPS.items():
            if name:
                group = SupportGroupFactory(name=name)
                if system_id:
                    ExternalGroupFactory(group=group, system=ExternalSystemFactory(system_id=system_id))
        self.alice = UserFactory(username="alice", roles=[Role.CHANGE_MANAGER], is_superuser=True)
        self.api = self.client_of(self.alice)
        self.browser = Client()
        self.browser.force_login(self.alice, backend="django.contrib.auth.backends.ModelBackend")
        self.partners = {
            name: self.client_of(ExternalSystemFactory(system_id=name).authorized_user) for name in SYSTEMS
        }
        self.change = Change(title="One change", requested_by=self.alice)
        self.change.save()
        self.path = f"/api/v1/changes/{self.change.number}/"
        self.model = Model()
        self.ids = itertools.count(1)
        self.external_ids = {}

    def teardown(self):
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @staticmethod
    def client_of(user):
        client = APIClient()
        _, token = AuthToken.objects.create(user)
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return client

    def is_open(self):
        return not Change.objects.get(pk=self.change.pk).is_final

    def fields(self, group, code):
        return {"owning_group": group, "completion_code": code}

    # --- Saves ---

    @precondition(lambda self: self.is_open())
    @rule(group=st.sampled_from([*GROUPS]), code=st.sampled_from(CODES))
    def save_in_a_shell(self, group, code):
        change = Change.objects.get(pk=self.change.pk)
        change.owning_group = SupportGroupFactory(name=group) if group else None
        change.completion_code = code
        change.save()
        self.model.save(group, code)

    @precondition(lambda self: self.is_open())
    @rule(group=st.sampled_from([*GROUPS]), code=st.sampled_from(CODES))
    def save_by_the_api(self, group, code):
        response = self.api.patch(self.path, self.fields(group, code), format="json")
        assert response.status_code == 200, response.content
        self.model.save(group, code)

    @precondition(lambda self: self.is_open())
    @rule(group=st.sampled_from([*GROUPS]), code=st.sampled_from(CODES), way=st.sampled_from(["page", "admin"]))
    def save_by_a_form(self, group, code, way):
        address = f"/changes/{self.change.number}/edit/"
        if way == "admin":
            address = reverse("admin:changes_change_change", args=[self.change.pk])
        data = form_data(self.browser.get(address))
        data["owning_group"] = SupportGroupFactory(name=group).pk if group else ""
        data["completion_code"] = code or ""
        response = self.browser.post(address, data)
        assert response.status_code == 302, response.content
        self.model.save(group, code)

    @precondition(lambda self: self.is_open() and self.model.code == "Withdrawn")
    @rule()
    def abandon(self):
        response = self.api.post(f"{self.path}transitions/", {"phase": "Abandon"}, format="json")
        assert response.status_code == 200, response.content

    # --- Additions ---

    @rule(visibility=st.sampled_from(["public", "private"]), way=st.sampled_from(["shell", "api", "page"]))
    def comment(self, visibility, way):
        if way == "api":
            body = {"body": "Hello", "visibility": visibility}
            assert self.api.post(f"{self.path}comments/", body, format="json").status_code == 201
        elif way == "page":
            address = f"/changes/{self.change.number}/comments/"
            assert self.browser.post(address, {"body": "Hello", "visibility": visibility}).status_code == 302
        else:
            Comment(change=self.change, author=self.alice, body="Hello", visibility=visibility).save()
        if visibility == "public":
            self.model.add()

    @rule(way=st.sampled_from(["api", "page"]))
    def attach(self, way):
        file = SimpleUploadedFile("plan.txt", b"plan")
        if way == "api":
            assert self.api.post(f"{self.path}attachments/", {"file": file}, format="multipart").status_code == 201
        else:
            address = f"/changes/{self.change.number}/attachments/"
            assert self.browser.post(address, {"file": file}).status_code == 302
        self.model.add()

    # --- Incoming operations ---

    def reaches(self, system):
        model = self.model
        seen = model.references | model.assigned | model.rejected | {GROUPS[model.group]}
        return system in seen

    def send(self, system, operation, **fields):
        body = {"system_id": system, "operation": operation, "change_number": self.change.number, **fields}
        return self.partners[system].post("/api/v1/operations/", body, format="json")

    @rule(system=st.sampled_from(SYSTEMS), group=st.sampled_from([*GROUPS]), code=st.sampled_from(CODES))
    def partner_updates(self, system, group, code):
        response = self.send(system, "Update", properties=self.fields(group, code), comments=[{"body": "Hi"}])
        if not self.reaches(system):
            assert response.status_code == 404, response.content
            return
        if not self.is_open() and (group, code) != (self.model.group, self.model.code):
            assert response.status_code == 409, response.content
            return
        assert response.status_code == 200, response.content
        self.model.save(group, code, system)
        self.model.add(system)

    @rule(system=st.sampled_from(SYSTEMS))
    def partner_names_its_record(self, system):
        external_id = self.external_ids.setdefault(system, f"{system}-1")
        response = self.send(system, "Update", external_id=external_id)
        assert response.status_code == (200 if self.reaches(system) else 404), response.content
        if response.status_code == 200:
            self.model.references.add(system)

    @rule(system=st.sampled_from(SYSTEMS), operation=st.sampled_from(["Assign", "Reject"]))
    def partner_assigns_or_rejects(self, system, operation):
        response = self.send(system, operation)
        assert response.status_code == (200 if self.reaches(system) else 404), response.content
        if response.status_code == 200:
            if operation == "Reject":
                self.model.reject(system)
            else:
                self.model.add(system)

    @rule(system=st.sampled_from(SYSTEMS))
    def partner_cancels(self, system):
        done = (self.model.code, self.is_open()) == (CompletionCode.WITHDRAWN, False)
        possible = done or self.is_open()
        response = self.send(system, "Cancel")
        if not self.reaches(system):
            assert response.status_code == 404, response.content
        elif not possible:
            assert response.status_code == 409, response.content
        else:
            assert response.status_code == 200, response.content
            assert Change.objects.get(pk=self.change.pk).phase == Phase.ABANDON
            if not done:
                self.model.save(self.model.group, "Withdrawn", system)

    # --- Checks after every step ---

    @invariant()
    def the_outbox_is_what_the_model_says(self):
        if not hasattr(self, "model"):
            return
        rows = OutgoingOperation.objects.filter(change=self.change).select_related("system")
        recorded = [(row.system.system_id, row.operation) for row in rows.order_by("id")]
        assert recorded == self.model.sent
        for system in SYSTEMS:
            own = rows.filter(system__system_id=system).order_by("id")
            assert [row.sequence for row in own] == [*range(1, len(own) + 1)]


def form_data(response):
    """The form data that a browser would send from an unaltered form."""
    assert response.status_code == 200, response.content
    context = response.context
    forms = [context["adminform"].form] if "adminform" in context else [context["form"]]
    for inline in context.get("inline_admin_formsets", ()):
        forms += [inline.formset.management_form, *inline.formset.forms]
    data = {}
    for form in forms:
        for name, field in form.fields.items():
            if not field.disabled:
                data |= sent(form[name], field)
    return data


def sent(bound, field):
    """The form data of one field. A split date and time has two inputs."""
    value = bound.value()
    if hasattr(field.widget, "widgets"):
        names = [f"{bound.html_name}_{index}" for index in range(len(field.widget.widgets))]
        values = field.widget.decompress(field.to_python(value) if isinstance(value, str) else value)
    else:
        names, values = [bound.html_name], [value]
    return {name: item for name, item in zip(names, values, strict=True) if item is not None and item is not False}


@pytest.mark.django_db
def test_any_sequence_of_edits_generates_what_the_contract_says():
    run_state_machine_as_test(
        OneChange,
        settings=settings(
            max_examples=examples(12),
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            print_blob=True,
        ),
    )
