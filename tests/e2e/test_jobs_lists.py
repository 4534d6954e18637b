"""The jobs of a desk that begin at a list: how many clicks and keys each takes besides the typing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from integrations.models import ExternalReference
from tests.factories import ChangeFactory

pytestmark = pytest.mark.django_db(transaction=True)


class Hand:
    """Clicks and keys on a page, counted. Text that is typed does not count."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def press(self, key: str) -> None:
        self.count += 1
        self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def click(self, what: Locator, **options: object) -> None:
        self.count += 1
        what.click(**options)  # type: ignore[arg-type]


# --- Find the change that ACME calls C-1001 ---


@pytest.mark.parametrize("address", ["/", "/changes/?open=true", "/exchange/", "/calendar/"])
def test_a_change_is_found_by_the_id_that_its_partner_has_for_it(signed_in_page, alice, acme, address):
    change = ChangeFactory(title="Replace core switch")
    ChangeFactory(title="Another")
    ExternalReference.objects.create(change=change, system=acme, external_id="C-1001")
    page = signed_in_page(alice)
    page.goto(address)
    hand = Hand(page)
    hand.press("/")
    hand.type("c-1001")
    hand.press("Enter")
    expect(page).to_have_url(re.compile(f"/changes/{change.number}/$"))
    assert hand.count <= 2


@pytest.mark.parametrize("scripts", [True, False])
def test_words_lead_to_the_list_and_a_number_to_its_change(signed_in_page, alice, scripts):
    change = ChangeFactory(title="Replace core switch")
    ChangeFactory(title="Replace a fan")
    ChangeFactory(title="Another")
    page = signed_in_page(alice, java_script_enabled=scripts)
    page.goto("/")
    page.get_by_label("Search changes").fill("replace")
    page.keyboard.press("Enter")
    expect(page.locator("td.title")).to_have_count(2)
    expect(page).to_have_url(re.compile(r"/changes/\?q=replace$"))
    # The list has the same box.
    page.get_by_label("Search changes").fill(f"#{change.pk}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/changes/{change.number}/$"))


# --- What ACME holds now ---


@pytest.mark.parametrize("scripts", [True, False])
def test_what_a_partner_holds_is_two_clicks_away(signed_in_page, alice, acme, beta, scripts):
    group = acme.external_groups.get().group
    held = [ChangeFactory(owning_group=group) for _ in range(3)]
    for change in (*held[:1], ChangeFactory(owning_group=beta.external_groups.get().group)):
        change.owning_group = None if change in held else change.owning_group
        change.save()  # ACME stays linked to the first
    page = signed_in_page(alice, java_script_enabled=scripts)
    page.goto("/")
    hand = Hand(page)
    hand.click(page.get_by_role("link", name="Changes", exact=True))
    hand.click(page.get_by_role("navigation", name="Changes by partner").get_by_role("link", name="ACME 2"))
    expect(page.locator("td.title")).to_have_count(2)
    expect(page.get_by_text("ACME holds it")).to_have_count(2)
    expect(page.get_by_role("link", name="Linked to ACME 3")).to_be_visible()
    assert hand.count <= 2
