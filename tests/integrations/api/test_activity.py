"""What counts as an activity on a change, for staff and partners: `last_activity_at` and `activity_since`."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.files import File

from changes.api.fields import parse_timestamp
from changes.models import Approval, Attachment, Comment
from integrations.models import ExternalReference
from integrations.outgoing import delivery
from integrations.outgoing.payloads import timestamp
from tests.factories import change_in
from tests.rows import each_row

from ..partner import answer

pytestmark = pytest.mark.django_db

CHANGES = "/api/v1/changes/"


@pytest.fixture
def change(acme, beta, partner, alice):
    """A change in ApprovePlan that ACME holds and BETA knows, with everything delivered."""
    group = acme.external_groups.get().group
    change = change_in("ApprovePlan", owning_group=group)
    ExternalReference.objects.create(change=change, system=beta, external_id="B-1")
    partner.default = answer(200, {"external_id": "A-1"})
    delivery.drain()
    change.refresh_from_db()
    return change


def edit(world):
    world.change.title = "Another"
    world.change.save()


def comment(world, visibility="public"):
    Comment(change=world.change, author=world.alice, body="Hello", visibility=visibility).save()


def attach(world):
    file = File(io.BytesIO(b"text"), name="a.txt")
    Attachment(change=world.change, author=world.alice, file=file, file_name="a.txt").save()


def approve(world):
    Approval(change=world.change, author=world.carol, decision="Approved").save()


def partner_says(world, system, **said):
    body = {"system_id": system.system_id, "operation": "Update", "change_number": world.change.number, **said}
    assert world.partner_api(system).post("/api/v1/operations/", body).status_code == 200


def partner_edits_and_comments(world):
    comments = [{"body": "One"}, {"body": "Two"}]
    partner_says(world, world.acme, properties={"title": "Theirs"}, external_status="New", comments=comments)


def reject(world):
    body = {"system_id": "ACME", "operation": "Reject", "change_number": world.change.number}
    assert world.partner_api(world.acme).post("/api/v1/operations/", body).status_code == 200


class World:
    def __init__(self, change, alice, carol, acme, beta, partner, partner_api):
        self.change, self.alice, self.carol = change, alice, carol
        self.acme, self.beta, self.partner, self.partner_api = acme, beta, partner, partner_api


@pytest.fixture
def world(change, alice, carol, acme, beta, partner, partner_api):
    return World(change, alice, carol, acme, beta, partner, partner_api)


# For whom each counts: staff, ACME, BETA.
ACTIVITIES = {
    "a field is edited": (edit, "all"),
    "a public comment": (comment, "all"),
    "a file": (attach, "all"),
    "a private comment": (lambda world: comment(world, "private"), "staff"),
    "an approval": (approve, "staff"),
    "ACME tells a status": (lambda world: partner_says(world, world.acme, external_status="Working"), "staff ACME"),
    "BETA tells a status": (lambda world: partner_says(world, world.beta, external_status="Done"), "staff BETA"),
    "ACME edits and comments at once": (partner_edits_and_comments, "all"),
    "ACME rejects": (reject, "all"),
    "nothing": (lambda world: None, ""),
}


@each_row("what", [*ACTIVITIES])
def test_an_activity_counts_for_those_who_may_see_it(api, audrey, world, partner_api, acme, beta, what):
    does, whom = ACTIVITIES[what]
    readers = {"staff": api(audrey), "ACME": partner_api(acme), "BETA": partner_api(beta)}
    address = f"{CHANGES}{world.change.number}/"
    before = {name: client.get(address).json()["last_activity_at"] for name, client in readers.items()}
    for name, client in readers.items():
        assert numbers(client, before[name]) == [world.change.number], "the moment itself is included"
    does(world)
    after = {name: client.get(address).json()["last_activity_at"] for name, client in readers.items()}
    moved = {name for name in readers if after[name] > before[name]}
    assert moved == ({*readers} if whom == "all" else {*whom.split()})
    for name, client in readers.items():
        assert numbers(client, after[name]) == [world.change.number]
        later = parse_timestamp(after[name]) + timedelta(microseconds=1)
        assert numbers(client, timestamp(later)) == []
        listed = client.get(CHANGES).json()["results"]
        assert [row["last_activity_at"] for row in listed] == [after[name]]


def numbers(client, since):
    return [change["number"] for change in client.get(f"{CHANGES}?activity_since={since}").json()["results"]]


@each_row(
    ("said", "is_news"),
    [({"external_id": "A-1", "external_status": "In progress"}, True), ({"external_id": "A-1"}, False), ({}, False)],
)
def test_news_in_an_answer_to_a_delivery_count(api, audrey, world, partner, said, is_news):
    comment(world)
    before = api(audrey).get(f"{CHANGES}{world.change.number}/").json()["last_activity_at"]
    partner.default = answer(200, said)
    delivery.drain()
    after = api(audrey).get(f"{CHANGES}{world.change.number}/").json()["last_activity_at"]
    assert (after > before) is is_news


def test_an_order_by_activity_is_for_staff(api, audrey, partner_api, acme, world):
    assert api(audrey).get(f"{CHANGES}?ordering=-last_activity_at").status_code == 200
    refused = partner_api(acme).get(f"{CHANGES}?ordering=-last_activity_at")
    assert refused.status_code == 400
    assert "Give one of: number" in str(refused.json())


@each_row(
    ("query", "for_staff", "for_acme"),
    [
        ("external_id=A-1", 1, 1),
        ("external_id=B-1", 1, 0),
        ("external_id=C-1", 0, 0),
        ("system_id=ACME", 1, 1),
        ("system_id=BETA", 1, 0),
        ("system_id=GAMMA", 0, 0),
        ("system_id=BETA&external_id=B-1", 1, 0),
    ],
)
def test_changes_are_found_by_the_ids_of_partners(api, audrey, partner_api, acme, world, query, for_staff, for_acme):
    found = [len(client.get(f"{CHANGES}?{query}").json()["results"]) for client in (api(audrey), partner_api(acme))]
    assert found == [for_staff, for_acme]


def test_a_comment_is_an_activity_up_to_its_own_moment(api, audrey, world):
    partner_edits_and_comments(world)
    for comment in world.change.comments.all():
        assert numbers(api(audrey), timestamp(comment.created_at)) == [world.change.number]
