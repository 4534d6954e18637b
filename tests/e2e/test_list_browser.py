"""The list in a real browser: it updates while somebody types and chooses filters, and so does the address."""

import re

import pytest
from playwright.sync_api import expect

from tests.factories import ChangeFactory, SupportGroupFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rows(alice):
    group = SupportGroupFactory(name="Network")
    group.members.add(alice)
    for title in ("Replace core switch", "Renew certificates", "Patch the switch"):
        ChangeFactory(title=title, description="-", owning_group=group)
    ChangeFactory(title="Mail relay", description="-", owning_group=None)


def titles(page):
    return page.locator("td.title")


def test_the_list_follows_what_is_typed_and_chosen_and_the_address_leads_back(rows, signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto("/changes/")
    expect(titles(page)).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("switch")
    expect(titles(page)).to_have_count(2)
    expect(page.locator("#search")).to_be_focused()
    expect(page.locator("#found")).to_have_text(re.compile("2 changes"))
    expect(page).to_have_url(re.compile(r"/changes/\?q=switch$"))  # the answer to all that was typed

    page.get_by_role("link", name="Last activity").click()
    expect(page).to_have_url(re.compile(r"\?q=switch&sort=-activity$"))
    page.locator("#search").fill("replace")
    expect(titles(page)).to_have_text(["Replace core switch"])
    expect(page).to_have_url(re.compile(r"\?q=replace&sort=-activity$"))
    page.go_back()
    expect(titles(page)).to_have_count(2)
    expect(page.locator("#search")).to_have_value("switch")
    page.reload()
    expect(titles(page)).to_have_count(2)

    page.get_by_role("link", name="Clear").click()
    expect(titles(page)).to_have_count(4)
    page.get_by_label("Owning group").select_option(label="My groups")
    expect(titles(page)).to_have_count(3)
    expect(page).to_have_url(re.compile(r"\?group=mine$"))
    page.get_by_text("Save these filters").click()
    page.get_by_label("Name", exact=True).fill("Ours")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Ours")).to_have_attribute("aria-current", "true")
    with page.expect_download() as download:
        page.locator(".exports").get_by_role("link", name="Changes").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 4


def test_all_of_a_page_is_ticked_at_once(rows, signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto("/changes/")
    page.get_by_label("Tick all changes on this page").check()
    expect(page.locator('input[name="change"]:checked')).to_have_count(4)
    page.locator("#search").fill("switch")
    expect(titles(page)).to_have_count(2)
    expect(page.locator('input[name="change"]:checked')).to_have_count(0)
    expect(page.get_by_label("Tick all changes on this page")).not_to_be_checked()
