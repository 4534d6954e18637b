"""The first exchange with the demo's partners once everything runs: a few operations in each direction, over HTTP.

Each incoming operation has a fixed idempotency key, so repeating this after an interruption applies none twice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model

from changes.actor import acting
from changes.choices import ChangeType
from changes.models import Change, Comment, SupportGroup
from changes.workflow import ABANDON_FROM
from integrations.choices import DeliveryStatus
from integrations.models import ExternalReference, OutgoingOperation
from integrations.sandbox.local.simulation import Simulation, until

from .invented_past import deliver_when_recorded

PATIENCE = 60


def play(simulation: Simulation) -> None:
    """Waits for the first deliveries, then exchanges operations. Raises TimeoutError or OSError without an answer."""
    _give_to_those_that_collect()
    under_way = OutgoingOperation.objects.filter(status__in=(DeliveryStatus.WAITING, DeliveryStatus.SENDING))
    until("the first operations are delivered", lambda: not under_way.exists(), PATIENCE)
    deliver_when_recorded()
    for number, (system_id, operation, fields) in enumerate(_incoming(), 1):
        simulation.send(system_id, operation, key=f"demo-{number}", **fields)
    _hear_from_those_that_collect(simulation)
    _have_one_refused(simulation)


# For each partner that collects: its group, and the changes that it is given.
COLLECTED = {
    "DELTA": ("DELTA Telephony", ("Move the telephones of the reception", "Renew the voice mail")),
    "EPSILON": ("EPSILON Building Services", ("Repair the cooling of the server room", "Inspect the fire doors")),
}


def _give_to_those_that_collect() -> None:
    """Gives changes to the partners that collect, once. They get them whenever they ask."""
    alice = get_user_model().objects.get(username="alice")
    for name, titles in COLLECTED.values():
        group = SupportGroup.objects.filter(name=name).first()
        for title in titles if group else ():
            if not Change.objects.filter(title=title).exists():
                with acting(alice):
                    Change(title=title, description=f"{title}.", requested_by=alice, owning_group=group).save()


def _hear_from_those_that_collect(simulation: Simulation) -> None:
    """They say something about the first change that each was given. An SMAX adapter repeats nothing it has said."""
    for system_id, (_group, titles) in COLLECTED.items():
        reference = ExternalReference.objects.filter(system__system_id=system_id, change__title=titles[0]).first()
        if reference is not None and reference.external_status != "In progress":
            said = {"external_status": "In progress", **_comment(f"{system_id} desk", "We begin on Monday.")}
            simulation.send(system_id, "Update", key=f"demo-{system_id}", external_id=reference.external_id, **said)


def _held_by(system_id: str) -> list[ExternalReference]:
    """The partner's references to the open changes that it holds, oldest change first."""
    held = Change.objects.open().filter(owning_group__external_group__system__system_id=system_id)
    return [
        *ExternalReference.objects.filter(system__system_id=system_id, change__in=held)
        .select_related("change")
        .order_by("change_id")
    ]


def _incoming() -> Iterator[tuple[str, str, dict[str, Any]]]:
    held = {system_id: _held_by(system_id) for system_id in ("ACME", "BETA", "GAMMA")}
    acme, beta, gamma = ([{"external_id": row.external_id} for row in rows] for rows in held.values())
    for system_id, records in (("ACME", acme[:4]), ("BETA", beta[:3]), ("GAMMA", gamma[:2])):
        for record in records:
            yield system_id, "Assign", {**record, "external_status": "Assigned to a technician"}
    yield "ACME", "Update", {**acme[0], "external_status": "In progress", **_comment("M. Holm", "Parts are ordered.")}
    yield "ACME", "Update", {**acme[1], "external_status": "Waiting for access", **_comment("M. Holm", "Who opens?")}
    yield "BETA", "Update", {**beta[0], "external_status": "Done", **_comment("BETA operations", "Please check.")}
    yield "GAMMA", "Update", {**gamma[0], "attachments": [_report()], **_comment("GAMMA support", "See the report.")}
    yield "BETA", "Reject", {**beta[-1]}
    yield "GAMMA", "Create", _created("GAMMA-9001", "Security correction for the reporting", "GAMMA Applications")
    yield "ACME", "Create", _created("ACME-9001", "Software update of the core switches", "Network")
    # Refused: a change that is being carried out cannot be abandoned, and a phase cannot be skipped.
    being_done = [
        row for row in held["GAMMA"] if row.change.phase not in ABANDON_FROM[ChangeType(row.change.change_type)]
    ]
    for row in being_done[:1]:
        yield "GAMMA", "Cancel", {"external_id": row.external_id}
    yield "ACME", "Update", {**acme[2], "properties": {"title": "Half of an update", "phase": "Close"}}


def _comment(author: str, body: str) -> dict[str, Any]:
    return {"comments": [{"author": author, "body": body}]}


def _report() -> dict[str, str]:
    content = base64.b64encode(b"check,result\nimport,ok\nclosing report,ok\n").decode()
    return {"file_name": "gamma-test-report.csv", "content_type": "text/csv", "content_base64": content}


def _created(external_id: str, title: str, group: str) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "external_status": "Planned",
        "properties": {"title": title, "description": f"{title}, announced by the maker.", "owning_group": group},
    }


def _have_one_refused(simulation: Simulation) -> None:
    """Makes GAMMA refuse a comment, so that one operation needs a person."""
    reference = ExternalReference.objects.filter(external_id="GAMMA-9001").select_related("change").first()
    if reference is None or OutgoingOperation.objects.filter(status=DeliveryStatus.REFUSED).exists():
        return
    simulation.behave("GAMMA", mode="answer", status=422, body={"detail": "The record is locked."}, times=1)
    alice = get_user_model().objects.get(username="alice")
    with acting(alice):
        Comment(change=reference.change, author=alice, body="Which version contains the correction?").save()
    refused = OutgoingOperation.objects.filter(status=DeliveryStatus.REFUSED)
    until("GAMMA has refused the comment", refused.exists, PATIENCE)
