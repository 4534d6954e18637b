"""Rule 10 of section 4: one-line texts are normalised as by a browser; identifiers are kept unchanged or refused."""

import sys
import unicodedata

import pytest

from changes.choices import Phase
from changes.models import Change, Comment
from changes.validators import is_blank
from integrations.models import ExternalReference, OutgoingOperation
from integrations.outgoing import delivery
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.html_forms import post_form, read_form
from tests.pages import text as read
from tests.pages import web
from tests.rows import each_row
from tests.stored import store

from .incoming.conftest import state
from .partner import answer

FAMILY, PERSIAN, ENGLAND = "👩‍👩‍👧 goes", "می‌خواهم", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"
LINES = {  # sent text: stored text
    "Replace switch\nin Oslo": "Replace switch in Oslo",
    "Replace\r\nswitch\tin\u2028Oslo": "Replace switch in Oslo",
    " \u00a0Edges\u3000 ": "Edges",
    "Zero\u200bwidth\ufeff, \u202eturned\u202c and\x07 bell": "Zerowidth, turned and bell",
    "a\u200db": "ab",
    "\u200cEdge\u200d": "Edge",
    FAMILY: FAMILY,
    PERSIAN: PERSIAN,
    ENGLAND: ENGLAND,
    "Two  spaces": "Two  spaces",
}
# Of several kinds of characters that show nothing.
BLANK = ["\u200b\u202e", "\n\u00a0\u2060\u00ad", "\u3164 \uffa0", "\u2800\ufe0f\u034f"]
BAD_IDS = [" C-1", "C-1\u00a0", "C\n1", "C\u200b1", "C\u202e1", "C\t1"]
COMPOSED, DECOMPOSED = "Störung-1", unicodedata.normalize("NFD", "Störung-1")


@pytest.fixture
def send(acme, partner_api):
    client = partner_api(acme)

    def post(operation, headers=None, **fields):
        body = {"system_id": "ACME", "operation": operation, **fields}
        return client.post("/api/v1/operations/", body, format="json", headers=headers or {})

    return post


@pytest.mark.django_db
def test_every_way_in_takes_a_line_as_a_browser_would(send, alice, api, acme):
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    for number, (sent, kept) in enumerate(LINES.items()):
        comment = {"body": "Hello", "author": sent}
        properties = {"title": sent, "category": sent, "service": sent}
        fields = {"external_id": f"C-{number}", "external_status": sent, "comments": [comment]}
        told = send("Create", properties=properties, **fields).json()
        assert [told["change"][name] for name in properties] == [kept] * 3
        assert told["external_reference"]["external_status"] == kept
        assert Comment.objects.latest("pk").author_name == kept
        by_api = api(alice).post("/api/v1/changes/", properties, format="json").json()
        by_page = post_form(web(alice), "/changes/new/", **properties)["Location"].split("/")[-2]
        by_admin = root.post(
            "/admin/changes/change/add/",
            {**properties, "change_type": "Normal", "business_impact": "SingleUser", "urgency": "NoDisruption"},
        )
        assert by_admin.status_code == 302, by_admin.context["errors"]
        by_shell = Change(title=sent, category=sent, service=sent)
        by_shell.save()
        for found in (by_api["number"], by_page, Change.objects.order_by("-pk")[1].number, by_shell.number):
            change = Change.objects.get(number=found)
            assert [change.title, change.category, change.service] == [kept] * 3
        assert by_shell.title == kept
        group = SupportGroupFactory(name=sent)
        assert group.name == kept
        group.delete()


@pytest.mark.django_db
@each_row("blank", ["", *BLANK])
def test_a_text_of_nothing_that_is_seen_is_empty_on_every_way_in(send, alice, carol, api, blank):
    """Where a text is needed, the answer is that to an empty one, and nothing is kept."""
    told = send("Create", external_id="C-1", properties={"title": "T"}).json()["change"]
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    before = state()
    for attr, body in {
        "properties.title": {"properties": {"title": blank}},
        "comments.0.body": {"comments": [{"body": blank}]},
        "external_id": {"external_id": blank},
    }.items():
        blank_of(send("Update", **{"change_number": told["number"], **body}), attr)
    blank_of(api(alice).post("/api/v1/changes/", {"title": blank}, format="json"), "title")
    address = f"/api/v1/changes/{change.number}"
    blank_of(api(alice).patch(f"{address}/", {"title": blank}, format="json"), "title")
    blank_of(api(alice).post(f"{address}/comments/", {"body": blank}, format="json"), "body")
    denied = api(carol).post(f"{address}/approvals/", {"decision": "Denied", "comment": blank}, format="json")
    error = denied.json()["errors"][0]
    assert (denied.status_code, error["attr"], error["detail"]) == (400, "comment", "Say why you deny the plan.")
    assert web(alice).post("/changes/new/", {"title": blank}).status_code == 200
    page = f"/changes/{change.number}"
    assert "Write something first." in read(web(alice).post(f"{page}/comments/", {"body": blank}))
    decision = {"decision": "Denied", "comment": blank, "version": change.version}
    assert "Say why you deny the plan." in read(web(carol).post(f"{page}/approvals/", decision))
    assert state() == before


def blank_of(answer, attr):
    error = answer.json()["errors"][0]
    said = (answer.status_code, error["attr"], error["code"], error["detail"])
    assert said == (400, attr, "blank", "This field may not be blank.")


def test_blank_are_all_spaces_and_controls_and_no_mark_that_is_seen():
    seen = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    for char in map(chr, range(1, sys.maxunicode + 1)):
        kind = unicodedata.category(char)
        if kind in ("Cc", "Cf", "Zs", "Zl", "Zp"):
            assert is_blank(char) == (char not in seen), hex(ord(char))
        elif kind[0] in "NP":
            assert not is_blank(char), hex(ord(char))
    assert not any(is_blank(text) for text in (*LINES.values(), "❤\ufe0f", "1\ufe0f\u20e3", "한", "⠁", "\u0301"))


@pytest.mark.django_db
def test_a_blank_text_from_before_the_rule_stands_in_nobodys_way(send, alice, api):
    number = send("Create", external_id="C-1", properties={"title": "T"}).json()["change"]["number"]
    change = Change.objects.get(number=number)
    stored = {"title": "\u3164", "category": "\u2800", "description": "\u200b"}
    store(change, **stored)
    Comment(change=change, author=alice, body="\u200b").save()
    assert web(alice).get(f"/changes/{number}/").status_code == 200
    answer = api(alice).patch(f"/api/v1/changes/{number}/", {"service": "LAN"}, format="json")
    assert (answer.status_code, answer.json()["title"]) == (200, "\u3164")
    assert send("Update", external_id="C-1", properties={"reason": "R"}).status_code == 200
    change.refresh_from_db()
    assert {name: getattr(change, name) for name in stored} == stored
    assert (change.service, change.reason) == ("LAN", "R")


@pytest.mark.django_db
def test_a_line_from_before_the_rule_is_not_altered_by_who_edits_another_field(alice):
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    stored = {"title": "Replace switch\nin Oslo", "category": " Network\u200b", "service": "LAN\u2028WAN"}
    for client, address in (
        (web(alice), "/changes/{0.number}/edit/"),
        (web(root), "/admin/changes/change/{0.pk}/change/"),
    ):
        change = ChangeFactory()
        store(change, **stored)
        page = client.get(address.format(change))
        assert read_form(page, "title")["fields"]["title"] == ["Replace switch in Oslo"]
        assert post_form(client, address.format(change), page=page, description="New").status_code == 302
        change.refresh_from_db()
        assert {name: getattr(change, name) for name in stored} == stored
        assert change.description == "New"
        last = change.history.latest("history_id")
        assert (last.version, last.description, last.title) == (2, "New", stored["title"])
        assert [edit for edit in change.edits_since(1) if edit in stored] == []
        post_form(client, address.format(change), title="Replace switches")
        change.refresh_from_db()
        assert change.title == "Replace switches"


@pytest.mark.django_db
def test_an_identifier_that_looks_like_another_is_refused_with_its_field(send):
    change = send("Create", external_id="C-1", properties={"title": "T"}).json()["change"]["number"]
    for bad in BAD_IDS:
        for path, body in {
            "external_id": {"external_id": bad},
            "system_id": {"external_id": "C-1", "system_id": bad},
            "change_number": {"change_number": bad},
            "origin.operation_id": {"external_id": "C-1", "origin": {"system_id": "X", "operation_id": bad}},
            "origin.system_id": {"external_id": "C-1", "origin": {"system_id": bad, "operation_id": "X"}},
            "attachments.0.file_name": {
                "external_id": "C-1",
                "attachments": [{"file_name": bad, "content_base64": "eA=="}],
            },
        }.items():
            refused = send("Update", **{"properties": {"title": "Other"}, **body})
            errors = {error["attr"]: error["detail"] for error in refused.json()["errors"]}
            assert refused.status_code == 400 and path in errors, (bad, path, refused.json())
    assert Change.objects.get(number=change).title == "T"
    refused = send("Update", external_id="C-1", headers={"Idempotency-Key": "a\x07b"})
    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (400, "Idempotency-Key")


@pytest.mark.django_db
def test_an_external_id_is_one_in_either_spelling_and_reads_back_composed(send):
    told = send("Create", external_id=DECOMPOSED, properties={"title": "T"}).json()
    assert told["external_reference"]["external_id"] == COMPOSED
    for spelling in (COMPOSED, DECOMPOSED):
        assert send("Update", external_id=spelling, properties={"title": spelling}).status_code == 200
        taken = send("Create", external_id=spelling, properties={"title": "Again"})
        assert (taken.status_code, taken.json()["errors"][0]["code"]) == (409, "external_id_taken")
        assert ExternalReference.objects.get(external_id=spelling).external_id == COMPOSED
        number = told["change"]["number"]
        assert send("Update", external_id=spelling, change_number=number).status_code == 200
    assert Change.objects.count() == 1


@pytest.mark.django_db
def test_answers_are_taken_by_the_same_rule(acme, partner):
    group = SupportGroupFactory(name="ACME Networks")
    for said, kept, note in [
        ({"external_id": 4711, "external_status": 7}, ("4711", "7"), ""),
        ({"external_id": 12345678901234567890123}, ("12345678901234567890123", ""), ""),
        ({"external_id": DECOMPOSED, "external_status": "In\nprogress "}, (COMPOSED, "In progress"), ""),
        ({"external_id": "C\u200b9"}, None, "external_id was not used"),
        ({"external_id": True}, None, "Not a text"),
    ]:
        ExternalReference.objects.all().delete()
        partner.default = answer(200, said)
        change = ChangeFactory(owning_group=group)
        delivery.drain()
        reference = ExternalReference.objects.filter(change=change).first()
        assert (reference and (reference.external_id, reference.external_status)) == kept, said
        assert note in OutgoingOperation.objects.get(change=change).attempts.get().note
