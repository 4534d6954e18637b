"""A partner can read only the changes that it reaches, its own references, and public comments.

There is one change of ACME for each kind of link. `hidden` is a change of BETA that every search or filter would find.
"""

from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile

from changes.choices import Phase
from changes.models import Approval, Attachment, Change, Comment
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, ExternalSystemFactory, SupportGroupFactory, UserFactory, change_in
from tests.reading import as_read
from tests.rows import each_row

CHANGES = "/api/v1/changes/"
LISTS = ("transitions/", "approvals/", "comments/", "attachments/")


def attach(change, user, name="plan.pdf"):
    attachment = Attachment(change=change, author=user, file=ContentFile(b"x", name="x"), file_name=name)
    attachment.save()
    return attachment


def numbers(answer):
    assert answer.status_code == 200, answer.content
    return {change["number"] for change in answer.json()["results"]}


@pytest.fixture
def reached(alice, acme):
    """Changes that ACME can reach, each through a different link."""
    acme_group, ours = SupportGroupFactory(name="ACME Networks"), SupportGroupFactory(name="Network")
    owned = ChangeFactory(owning_group=acme_group, title="Owned")
    assigned = ChangeFactory(owning_group=acme_group, title="Assigned")
    assigned.owning_group = ours
    assigned.save()
    referenced = ChangeFactory(owning_group=ours, title="Referenced")
    for change in (referenced, owned):
        ExternalReference.objects.create(change=change, system=acme, external_id=f"A-{change.pk}")
    Comment(change=owned, author=alice, body="To all").save()
    attach(owned, alice)
    return SimpleNamespace(owned=owned, assigned=assigned, referenced=referenced)


def add_hidden(reached, alice, beta):
    """Adds records that ACME must not see: a change and references of BETA, a private comment. Returns the change."""
    hidden = ChangeFactory(
        owning_group=SupportGroupFactory(name="BETA Servers"),
        title="Hidden",
        category="Secret",
        urgency="TotalLossOfService",
        business_impact="Enterprise",
    )
    for change in (reached.owned, hidden):
        ExternalReference.objects.create(change=change, system=beta, external_id=f"B-{change.pk}")
        Comment(change=change, author=alice, body="Between us", visibility="private").save()
    attach(hidden, alice)
    return hidden


@pytest.fixture
def world(reached, alice, beta):
    reached.hidden = add_hidden(reached, alice, beta)
    return reached


def test_a_partner_lists_the_changes_that_it_reaches(partner_api, acme, beta, world):
    assert numbers(partner_api(acme).get(CHANGES)) == {
        change.number for change in (world.owned, world.assigned, world.referenced)
    }
    assert numbers(partner_api(beta).get(CHANGES)) == {world.owned.number, world.hidden.number}


def test_a_partner_reads_a_change_with_its_own_references_only(partner_api, acme, beta, world):
    change = Change.objects.get(pk=world.owned.pk)
    for system in (acme, beta):
        own = change.external_references.filter(system=system)
        comments, files = change.comments.filter(visibility="public"), change.attachments.all()
        seen = [change.updated_at, own.get().updated_at, *(each.created_at for each in [*comments, *files])]
        expected = as_read(change, own, max(seen))
        assert len(expected["external_references"]) == 1
        assert partner_api(system).get(f"{CHANGES}{change.number}/").json() == expected
        listed = partner_api(system).get(CHANGES).json()["results"]
        assert [row for row in listed if row["number"] == change.number] == [expected]


def test_staff_read_all_references(api, audrey, world):
    references = api(audrey).get(f"{CHANGES}{world.owned.number}/").json()["external_references"]
    assert [reference["system_id"] for reference in references] == ["ACME", "BETA"]
    assert list(references[0]) == ["system_id", "external_id", "external_url", "external_status", "updated_at"]


def test_answers_to_staff_writes_show_all_references_too(api, carol, world):
    change = f"{CHANGES}{world.owned.number}/"
    for answer in (
        api(carol).patch(change, {"title": "Another"}),
        api(carol).post(f"{change}transitions/", {"phase": "Evaluate"}),
    ):
        assert [row["system_id"] for row in answer.json()["external_references"]] == ["ACME", "BETA"]
    assert api(carol).post(CHANGES, {"title": "New"}).json()["external_references"] == []


def test_a_partner_still_reads_what_it_rejected(partner_api, acme, world):
    body = {"system_id": "ACME", "operation": "Reject", "change_number": world.assigned.number}
    assert partner_api(acme).post("/api/v1/operations/", body).status_code == 200
    assert partner_api(acme).get(f"{CHANGES}{world.assigned.number}/").json()["number"] == world.assigned.number


@pytest.mark.parametrize("path", ["", *LISTS])
def test_what_is_not_the_partners_reads_as_if_it_did_not_exist(partner_api, acme, world, path):
    hidden = partner_api(acme).get(f"{CHANGES}{world.hidden.number}/{path}")
    absent = partner_api(acme).get(f"{CHANGES}CHG9999999/{path}")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.content == absent.content
    assert set(hidden.headers) == set(absent.headers)


def test_an_attachment_of_a_change_that_is_not_the_partners(partner_api, acme, beta, world):
    attachment = world.hidden.attachments.get()
    hidden = partner_api(acme).get(f"/api/v1/attachments/{attachment.pk}/content/")
    absent = partner_api(acme).get("/api/v1/attachments/999999/content/")
    assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content) == (404, absent.content)
    assert partner_api(beta).get(f"/api/v1/attachments/{attachment.pk}/content/").status_code == 200


def test_a_partner_reads_public_comments_only(partner_api, acme, world):
    client = partner_api(acme)
    address = f"{CHANGES}{world.owned.number}/comments/"
    assert [row["body"] for row in client.get(address).json()["results"]] == ["To all"]
    Comment(change=world.owned, author=UserFactory(username="alice"), body="Second").save()
    first = client.get(f"{address}?limit=1").json()
    second = client.get(first["next"]).json()
    assert [row["body"] for page in (first, second) for row in page["results"]] == ["To all", "Second"]
    assert second["next"] is None


def test_a_partner_reads_attachments_and_their_files(partner_api, acme, world):
    client = partner_api(acme)
    (row,) = client.get(f"{CHANGES}{world.owned.number}/attachments/").json()["results"]
    answer = client.get(f"/api/v1/attachments/{row['id']}/content/")
    assert (answer.status_code, b"".join(answer)) == (200, b"x")


def test_a_partner_reads_the_decision_and_not_the_remark(partner_api, acme, carol):
    change = change_in(Phase.APPROVE_PLAN, owning_group=SupportGroupFactory(name="ACME Networks"))
    Approval(change=change, author=carol, decision="Denied", comment="Too dear").save()
    (row,) = partner_api(acme).get(f"{CHANGES}{change.number}/approvals/").json()["results"]
    assert (row["decision"], row["approver"], row["comment"]) == ("Denied", "carol", "")


def test_a_partner_reads_the_transitions_of_its_change(partner_api, acme, world):
    rows = partner_api(acme).get(f"{CHANGES}{world.owned.number}/transitions/").json()["results"]
    assert [row["phase"] for row in rows] == ["Evaluate", "Abandon"]


@pytest.mark.parametrize(
    "query",
    [
        "search=Hidden",
        "search=Secret",
        "category=Secret",
        "priority=Critical",
        "owning_group=BETA+Servers",
        "search=CHG",
        "ordering=priority",
        "ordering=-title&limit=1",
        "search=B-",
        "search=Between",
        "updated_since=2020-01-01T00:00:00Z",
    ],
)
def test_no_answer_depends_on_what_the_partner_may_not_see(partner_api, acme, reached, alice, request, query):
    """The whole answer is the same before and after the hidden records are added."""
    client = partner_api(acme)
    before = client.get(f"{CHANGES}?{query}")
    add_hidden(reached, alice, request.getfixturevalue("beta"))
    after = client.get(f"{CHANGES}?{query}")
    assert (before.status_code, before.content) == (after.status_code, after.content)


def test_a_change_of_two_systems_of_one_user_comes_once(partner_api, acme, world):
    second = ExternalSystemFactory(system_id="ACME-EU", authorized_user=acme.authorized_user)
    ExternalReference.objects.create(change=world.owned, system=second, external_id="E-1")
    ExternalReference.objects.create(change=world.hidden, system=second, external_id="E-2")
    answer = partner_api(acme).get(CHANGES)
    assert len(answer.json()["results"]) == 4
    references = {row["number"]: row["external_references"] for row in answer.json()["results"]}
    assert [row["system_id"] for row in references[world.owned.number]] == ["ACME", "ACME-EU"]
    assert [row["system_id"] for row in references[world.hidden.number]] == ["ACME-EU"]


def test_what_only_a_disabled_system_of_the_user_reaches_is_not_seen(partner_api, acme, world):
    disabled = ExternalSystemFactory(system_id="ACME-EU", authorized_user=acme.authorized_user, enabled=False)
    for change in (world.owned, world.hidden):
        ExternalReference.objects.create(change=change, system=disabled, external_id=f"E-{change.pk}")
    client = partner_api(acme)
    assert world.hidden.number not in numbers(client.get(CHANGES))
    references = client.get(f"{CHANGES}{world.owned.number}/").json()["external_references"]
    assert [row["system_id"] for row in references] == ["ACME"]


@each_row("path", ["", "{number}/", *(f"{{number}}/{name}" for name in LISTS)])
def test_the_partner_of_a_disabled_system_is_refused(partner_api, acme, world, path):
    client = partner_api(acme)
    acme.enabled = False
    acme.save()
    answer = client.get(CHANGES + path.format(number=world.owned.number))
    assert answer.status_code == 403
    assert "disabled" in answer.json()["detail"]


def test_a_paused_system_may_read(partner_api, acme, world):
    acme.paused_at = world.owned.created_at
    acme.save()
    assert numbers(partner_api(acme).get(CHANGES))


@each_row(
    ("method", "path", "body"),
    [
        ("post", "", {"title": "New"}),
        ("patch", "{number}/", {"title": "Another"}),
        ("post", "{number}/transitions/", {"phase": "Evaluate"}),
        ("post", "{number}/approvals/", {"decision": "Approved"}),
        ("post", "{number}/comments/", {"body": "Hello"}),
        ("post", "{number}/comments/", {"nonsense": 1}),
        ("patch", "CHG9999999/", {"title": "Another"}),
    ],
)
@each_row("whose", ["owned", "hidden"])
def test_a_partner_writes_by_operations_and_files_alone(partner_api, acme, world, method, path, body, whose):
    before = [list(model.objects.order_by("pk").values()) for model in (Change, Comment, Attachment, Approval)]
    address = CHANGES + path.format(number=getattr(world, whose).number)
    answer = getattr(partner_api(acme), method)(address, body)
    assert answer.status_code == 403
    assert "POST /api/v1/operations/" in answer.json()["detail"]
    assert [list(model.objects.order_by("pk").values()) for model in (Change, Comment, Attachment, Approval)] == before


def test_a_method_that_is_not_there_is_not_there_for_a_partner_either(partner_api, acme, world):
    assert partner_api(acme).delete(f"{CHANGES}{world.owned.number}/").status_code == 405


@pytest.mark.parametrize("header", ["{tag}", "*"])
def test_an_etag_gives_nothing_away(partner_api, acme, world, header):
    tag = partner_api(acme).get(f"{CHANGES}{world.owned.number}/").headers["ETag"]
    header = header.format(tag=tag)
    owned = partner_api(acme).get(f"{CHANGES}{world.owned.number}/", HTTP_IF_NONE_MATCH=header)
    hidden = partner_api(acme).get(f"{CHANGES}{world.hidden.number}/", HTTP_IF_NONE_MATCH=header)
    assert (owned.status_code, hidden.status_code) == (304, 404)
