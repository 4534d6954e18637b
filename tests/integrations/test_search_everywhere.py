"""Every search finds a change by its ids, comments and words. A partner's search uses only what the partner may see."""

import csv
import io
import re
import unicodedata

import pytest
from django.db import connection
from django.utils.http import urlencode

from changes.models import Change, Comment
from changes.queries.search import identified
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory
from tests.pages import text, web

pytestmark = pytest.mark.django_db
PLAIN = {"description": "-", "service": "", "category": ""}


_SEQUENCE = "SELECT setval('changes_change_id_seq', GREATEST(last_value, %s)) FROM changes_change_id_seq"


def keys_beyond(key):
    """The keys that the database gives from now on are greater, so that none is one of the test's."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_SEQUENCE, [key])


@pytest.fixture
def shelf(alice, acme, beta):
    """Two changes by name. The tests search for the one with the number 219."""
    keys_beyond(3000)
    mail = ChangeFactory(pk=219, **PLAIN | {"title": "Relay (pre-VM) for core mail, Größe 2", "owning_group": None})
    other = ChangeFactory(pk=2190, **PLAIN | {"title": "Core and mail relay", "owning_group": None})
    ExternalReference.objects.create(change=mail, system=acme, external_id="INC-Störung/4711")
    ExternalReference.objects.create(change=mail, system=beta, external_id="CHG0030001")
    ExternalReference.objects.create(change=other, system=acme, external_id="OPS-1")
    Comment(change=mail, author=alice, body="Parts ordered.\nRa\u0308der too").save()
    Comment(change=mail, author=alice, body="Between us: sacrebleu", visibility="private").save()
    return {"mail": mail.number, "other": other.number}


FOUND = [  # typed text, changes that staff find
    ("CHG219", "mail"),  # and numbers that begin so: CHG2190000 to CHG2199999
    ("#CHG0000219", "mail"),
    ("chg0000219", "mail"),
    ("219", "mail other"),  # also a part of CHG0002190
    ("#219", "mail"),
    ("2190", "other"),
    ("0000219", "mail"),
    ("CHG02", ""),
    ("CHG0000", "mail"),
    ("CHG000", "mail other"),
    ("4711", "mail"),
    ("inc-STÖRUNG", "mail"),
    (unicodedata.normalize("NFD", "Störung/4711"), "mail"),
    ("CHG0030001", "mail"),
    ("OPS-1", "other"),
    ("ordered", "mail"),
    ("ordered core OPS", ""),
    ("ordered core 4711 219", "mail"),
    ("räder", "mail"),
    (unicodedata.normalize("NFD", "GRÖ"), "mail"),
    (unicodedata.normalize("NFD", "Größe"), "mail"),
    ("vm", "mail"),
    ("sacrebleu", "mail"),
    ('"core mail"', "mail"),
    ('"mail relay" core', "other"),
    ("„core mail“", "mail"),
    ('core "mail', "mail other"),
    ('""', "mail other"),
]


def test_every_search_finds_the_same(shelf, alice, api):
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    client, rest = web(alice), api(alice)
    for typed, expected in FOUND:
        wanted = {shelf[name] for name in expected.split()}
        page = text(client.get("/changes/", {"q": typed, "sort": "number"}))
        assert {number for number in shelf.values() if number in page.partition("Title")[2]} == wanted, typed
        exported = b"".join(client.get("/changes/export.csv", {"q": typed}).streaming_content).decode("utf-8-sig")
        assert {row["number"] for row in csv.DictReader(io.StringIO(exported))} == wanted, typed
        answer = rest.get("/api/v1/changes/", {"search": typed})
        assert {row["number"] for row in answer.json()["results"]} == wanted, typed
        listed = root.get("/admin/changes/change/", {"q": typed}).content.decode()
        assert {number for number in shelf.values() if f">{number}</a>" in listed} == wanted, typed
    rows = list(csv.DictReader(io.StringIO(exported)))
    ids = {row["number"]: (row["partners"], row["external_ids"]) for row in rows}
    assert ids[shelf["mail"]] == ("ACME; BETA", "INC-Störung/4711; CHG0030001")


def test_far_from_the_first_changes_it_finds_the_same(shelf, alice, monkeypatch):
    monkeypatch.setattr("changes.pages.list.paging.WINDOW", 0)
    for typed, expected in FOUND:
        page = text(web(alice).get("/changes/", {"q": typed, "sort": "-number"})).partition("Title")[2]
        assert {name for name, number in shelf.items() if number in page} == {*expected.split()}, typed


def test_a_partner_finds_nothing_by_what_it_may_not_see(shelf, acme, partner_api):
    for typed, expected in FOUND:
        answer = partner_api(acme).get("/api/v1/changes/", {"search": typed})
        hidden = typed in ("CHG0030001", "sacrebleu")
        wanted = set() if hidden else {shelf[name] for name in expected.split()}
        assert {row["number"] for row in answer.json()["results"]} == wanted, typed


IDS = ("INC-Bä_4711", "inc-BÄ_4711", *(unicodedata.normalize("NFD", each) for each in ("INC-Bä_4711", "INC-BÄ_4711")))


def test_the_exchange_log_takes_numbers_and_external_ids(alice, acme):
    keys_beyond(3000)
    change = ChangeFactory(pk=219, owning_group=SupportGroupFactory(name="ACME Networks"))
    another = ChangeFactory(pk=220, owning_group=SupportGroupFactory(name="ACME Networks"))
    ExternalReference.objects.create(change=change, system=acme, external_id="INC-Bä_4711")
    for row in (change, another):
        IncomingOperation.objects.create(
            system=acme,
            user=acme.authorized_user,
            operation="Update",
            status="Applied",
            payload={},
            change=row,
            http_status=200,
            body_sha256="0" * 64,
        )
    for direction in ("", "in"):
        for typed in ("CHG0000219", "#chg219", "219", " 219 ", *IDS):
            page = text(web(alice).get("/exchange/", {"change": typed, "direction": direction}))
            assert change.number in page and another.number not in page, typed
        for typed in ("INC-Bä_47", "Bä_4711", "INC-Bä-4711", "inc-ba_4711", "21", "CHG21", "x" * 255):
            page = text(web(alice).get("/exchange/", {"change": typed, "direction": direction}))
            assert change.number not in page, typed


def test_the_administration_finds_a_reference_by_either_form_of_its_id(shelf):
    root = web(UserFactory(username="root", is_superuser=True, is_staff=True))
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, "inc-Störung")
        listed = root.get("/admin/integrations/externalreference/", {"q": typed}).content.decode()
        assert "INC-Störung/4711" in listed and "OPS-1" not in listed, form


def test_postgresql_finds_words_of_comments_and_ids_by_their_indexes(shelf):
    if connection.vendor != "postgresql":
        return  # SQLite reads the rows
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = Change.objects.find("ordered").explain()
        cursor.execute("SET LOCAL enable_indexscan = off")  # few rows: other indexes would do as well
        for whole in ("Bä-x", "B1"):
            assert "reference_search" in (of_id := Change.objects.filter(identified(whole)).explain()), of_id
    for index in ("change_search", "comment_search", "reference_search"):
        assert index in plan, plan


# --- What one change is named by ---


@pytest.mark.parametrize(
    ("typed", "opened"),
    [
        ("CHG0000219", "mail"),
        ("chg219", "mail"),
        ("  219 ", "mail"),
        ("#219", "mail"),
        ("# 219", "mail"),
        ("Chg 219", "mail"),
        ("CHG-0000219", "mail"),
        ("#chg2190", "other"),
        ("INC-Störung/4711", "mail"),
        (unicodedata.normalize("NFD", "inc-Störung/4711"), "mail"),
        ("INC-STÖRUNG/4711", "mail"),
        ('"OPS-1"', "other"),
        ("ops-1", "other"),
        ("CHG0030001", "mail"),  # BETA's number, which no change here has
        ("SAME-7", ""),  # ACME and BETA call two changes so
        ("4711", ""),  # only a part of an id
        ("CHG021", ""),  # only the beginning of a number
        ("220", ""),
        ("core", ""),
        ("CHG", ""),
        ("", ""),
        ("99999999999999999999", ""),
        ("x\x00", ""),
    ],
)
def test_enter_opens_the_change_that_is_named_and_otherwise_the_list(shelf, alice, acme, beta, typed, opened):
    for system in (acme, beta):
        ExternalReference.objects.create(change=ChangeFactory(), system=system, external_id="SAME-7")
    # The other filters, which would leave out either change, do not matter.
    answer = web(alice).get("/changes/", {"q": typed, "go": "1", "type": "Emergency"})
    if opened:
        assert answer["Location"] == f"/changes/{shelf[opened]}/"
        part = web(alice).get("/changes/", {"q": typed, "go": "1"}, headers={"HX-Request": "true"})
        assert part["HX-Redirect"] == f"/changes/{shelf[opened]}/"
    elif "\x00" in typed:
        assert "Invalid filter" in text(answer)
    else:
        wanted = {"q": typed.strip(), "type": "Emergency"}
        assert answer["Location"] == "/changes/?" + urlencode({name: value for name, value in wanted.items() if value})


def test_a_number_that_is_also_the_id_of_another_change_leads_to_the_list_of_both(shelf, alice, acme):
    ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="2190")
    answer = web(alice).get("/changes/", {"q": "2190", "go": "1"}, follow=True)
    assert answer.redirect_chain == [("/changes/?q=2190", 302)]
    assert len(re.findall(r'name="change"', answer.content.decode())) == 2


def test_the_box_is_on_every_page_for_staff_and_for_nobody_else(shelf, alice, partner_api, acme):
    for address in ("/", "/changes/", f"/changes/{shelf['mail']}/", "/exchange/", "/calendar/", "/nowhere/"):
        assert web(alice).get(address).content.decode().count('id="search"') == 1, address
    account = UserFactory(username="acme-account")
    assert web(account).get("/changes/", {"q": "OPS-1", "go": "1"}).status_code == 403
    assert 'id="search"' not in web(account).get("/changes/").content.decode()
