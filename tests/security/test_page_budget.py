"""The largest and slowest pages that a partner can make: long texts, altered again and again, and long comments."""

from __future__ import annotations

import random

import pytest

from changes.texts import text_diff
from integrations.models import ExternalReference
from tests.factories import ChangeFactory
from tests.pages import web

OPERATIONS = "/api/v1/operations/"
TEXTS = ("description", "reason", "justification", "implementation_plan", "backout_plan")


def passages(seed):
    """100,000 characters that are hard to compare: many short passages of two words between lines that stay."""
    chance = random.Random(seed)
    lines = (f"S{number}\n" + " ".join(chance.choice("ab") for _ in range(95)) for number in range(510))
    return "\n".join(lines)[:100_000]


@pytest.fixture
def worst(acme, partner_api):
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    ExternalReference.objects.create(change=change, system=acme, external_id="A-1")
    client = partner_api(acme)
    versions = [passages(1), passages(2)]
    for number in range(32):
        body = {"system_id": "ACME", "operation": "Update", "external_id": "A-1"}
        body["properties"] = dict.fromkeys(TEXTS, versions[number % 2])
        body["comments"] = [{"body": versions[number % 2]}]
        answer = client.post(OPERATIONS, body, format="json")
        assert answer.status_code == 200, answer.content
    return change


# The pages of a signed-in person, with the bytes that each may have. Without the budget the first had 33 MB, and took
# 270 seconds of processor time; now it takes 0.4.
PAGES = {
    "the change": ("/changes/{number}/", 1_200_000),
    "its timeline of edits": ("/changes/{number}/?show=edits", 1_200_000),
    "its form": ("/changes/{number}/edit/", 800_000),
    "one save of it": ("/changes/{number}/history/9/", 1_500_000),
    "its history in the admin": ("/admin/changes/change/{pk}/history/", 1_200_000),
}


def test_no_page_of_it_is_large(worst, ingrid):
    ingrid.is_superuser = True
    ingrid.save()
    client = web(ingrid)
    sizes = {}
    for name, (path, _) in PAGES.items():
        answer = client.get(path.format(number=worst.number, pk=worst.pk))
        assert answer.status_code == 200, name
        sizes[name] = len(answer.content)
    assert {name for name, size in sizes.items() if size > PAGES[name][1]} == set(), sizes


def test_what_is_left_out_is_one_click_away(worst, alice):
    client = web(alice)
    page = client.get(f"/changes/{worst.number}/")
    assert "Only the beginning of the changes is shown." in page.text and "A long text changed." in page.text
    assert f"/changes/{worst.number}/history/{worst.history.count()}/" in page.text
    first = client.get(f"/changes/{worst.number}/history/2/")
    assert first.text.count("S509") >= len(TEXTS)  # the last passage of each text
    assert client.get(f"/changes/{worst.number}/history/999/").status_code == 404


def test_comparing_costs_no_more_than_its_budget():
    effort = text_diff.Effort()
    for _ in range(20):
        text_diff.compare(passages(1), passages(2), effort)
    assert 0 <= effort.steps < text_diff.Effort.steps
    assert effort.characters <= 0
    assert text_diff.compare("a\nb", "a\nc", effort) == text_diff.Diff([], is_cut=True)
