"""How a change stands with a partner: one meaning in the rules, and in filters, counts, chips and file of the list."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from html import unescape
from itertools import product

import pytest

from changes.choices import Phase
from changes.models import Change
from integrations.models import Exchange, ExternalReference, OutgoingOperation
from integrations.rules import ExchangeState, Situation
from integrations.standing.relation import Relation, related, relations
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.pages import text, web

pytestmark = pytest.mark.django_db
SEQUENCES = (None, 1, 2, 3)


@pytest.fixture
def every_pair(acme, beta):
    """A change for each possible state of its exchange with ACME, and what must hold of it."""
    group = acme.external_groups.get().group
    found: dict[Relation, set[int]] = {relation: set() for relation in Relation}
    states = [None, *product(SEQUENCES, SEQUENCES, SEQUENCES)]
    for owner, referenced, sequences in product((False, True), (False, True), states):
        change = ChangeFactory.build(priority="Low", owning_group=group if owner else None)
        Change.save_base(change, force_insert=True)  # no operation, which would make an exchange of its own
        if referenced:
            ExternalReference.objects.create(change=change, system=acme, external_id=f"A-{change.pk}")
        state = ExchangeState()
        if sequences:
            assigned, cancelled, rejected = sequences
            state = ExchangeState(3, assigned, cancelled, rejected)
            exchange = Exchange(change=change, system=acme)
            exchange.state = state
            exchange.save()
        for relation in relations(state, is_owner=owner, is_referenced=referenced):
            found[relation].add(change.pk)
        situation = Situation("ACME" if owner else None, frozenset({"ACME"} if referenced else ()), {"ACME": state})
        assert (change.pk in found[Relation.LINKED]) == situation.is_linked("ACME")
        assert (change.pk in found[Relation.HELD]) == (owner and not state.is_rejected and not state.is_cancelled)
    # What is not ACME's: with BETA, with nobody.
    other = ChangeFactory.build(priority="Low", owning_group=beta.external_groups.get().group)
    Change.save_base(other, force_insert=True)
    ChangeFactory(owning_group=SupportGroupFactory())
    return found, other.pk


def test_the_database_finds_what_the_rules_say(every_pair, acme):
    found, other = every_pair
    for relation, expected in found.items():
        for is_by_row in (True, False):
            rows = related(Change.objects.all(), relation, acme.pk, is_by_row=is_by_row)
            assert {change.pk for change in rows} == expected, (relation, is_by_row)
        with_any = expected | ({other} if relation in (Relation.HELD, Relation.LINKED) else set())
        assert {change.pk for change in related(Change.objects.all(), relation)} == with_any, relation


def test_the_list_counts_what_its_filters_find(every_pair, alice):
    found, _other = every_pair
    page = text(web(alice).get("/changes/?partner=ACME&relation=held"))
    assert f"Held by ACME {len(found[Relation.HELD])} BETA 1" in page
    for relation in (Relation.LINKED, Relation.CANCELLED, Relation.REJECTED):
        assert f"{relation.label} ACME {len(found[relation])}" in page
        exported = web(alice).get(f"/changes/export.csv?partner=ACME&relation={relation.value}")
        rows = list(csv.DictReader(io.StringIO(b"".join(exported.streaming_content).decode("utf-8-sig"))))
        assert {int(row["number"].removeprefix("CHG")) for row in rows} == found[relation]
        if relation != Relation.LINKED:  # which goes without saying if ACME holds it
            assert all(relation.value in row["exchange_states"] for row in rows)
    unknown = text(web(alice).get("/changes/?partner=ACME&relation=owned"))
    assert "Relation to partner: Select a valid choice." in unknown


def happen(change, acme, events):
    for event in events.split():
        change = Change.objects.get(pk=change.pk)
        if event in ("give", "take"):
            change.owning_group = acme.external_groups.get().group if event == "give" else None
            change.save()
        elif event == "cancel":
            change.completion_code = "Withdrawn"
            change.save()
        elif event == "reject":
            exchange = Exchange.objects.get(change=change)
            exchange.state = exchange.state.after_reject()
            exchange.save()
        elif event == "refuse":
            OutgoingOperation.objects.update(status="Refused")
        else:
            OutgoingOperation.objects.update(created_at="2020-01-01T00:00:00Z")


def test_what_a_partner_holds_is_open_in_the_count_and_behind_its_chip(acme, alice):
    group = acme.external_groups.get().group
    for phase in (Phase.PLAN, Phase.CLOSE, Phase.ABANDON):
        change_in(phase, owning_group=group)
    page = web(alice).get("/changes/?open=true")
    assert "Held by ACME 1" in text(page)
    chip = "partner=ACME&relation=held&open=true"
    assert f'href="/changes/?{chip}"' in unescape(page.content.decode())
    shown = web(alice).get(f"/changes/?{chip}")
    rows = shown.content.decode().partition("<tbody")[2].partition("</tbody")[0]
    assert Counter(re.findall("(Close|Abandon|Plan)</", rows)) == {"Plan": 1}
    assert re.search(r'aria-current="true">ACME', shown.content.decode())


@pytest.mark.parametrize(
    ("events", "linked"),
    [("give", True), ("give take", True), ("give reject take", False), ("give reject take give", True), ("", False)],
)
def test_the_filter_of_the_api_finds_what_is_linked_now(api, alice, acme, events, linked):
    change = ChangeFactory(owning_group=None)
    happen(change, acme, events)
    found = api(alice).get("/api/v1/changes/?system_id=ACME").json()["results"]
    assert [each["number"] for each in found] == ([change.number] if linked else [])


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("events", "said"),
    [
        ("give", ["ACME holds it"]),
        ("give take", ["ACME: linked"]),
        ("give cancel", ["ACME: cancelled"]),
        ("give cancel take", ["ACME: cancelled"]),
        ("give reject", ["ACME rejected it"]),
        ("give reject take", ["ACME rejected it"]),
        ("give reject take give", ["ACME holds it"]),
        ("give refuse", ["ACME holds it", "refused"]),
        ("give late", ["ACME holds it", "waiting for long"]),
    ],
)
def test_a_chip_says_the_relation_and_the_transport_only_if_it_is_bad(alice, acme, events, said):
    change = ChangeFactory(owning_group=None)
    happen(change, acme, events)
    page = web(alice).get("/changes/").content.decode()
    row = page.partition("<tbody")[2]
    chips = re.findall(r'class="badge tone-\w+">.*?</svg>([^<]*)<', row.partition('class="partners"')[2])
    assert chips == said
