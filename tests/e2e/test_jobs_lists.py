"""The jobs of a desk that begin at a list: how many clicks and keys each takes besides the typing."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page, expect

from changes.choices import Phase
from changes.models import Approval, Comment
from changes.models.personal.looks import look
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, SupportGroupFactory, change_in

from .hand import Hand

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_enter_opens_it_though_the_server_is_slower_than_the_search_that_follows_the_typing(
    signed_in_page, alice, acme
):
    change = ChangeFactory(title="Replace core switch")
    page = signed_in_page(alice)
    page.goto("/changes/?open=true")

    def slowly(route):
        time.sleep(1)
        route.continue_()

    page.route("**/changes/?*", slowly)
    page.keyboard.press("/")
    page.keyboard.type(str(change.pk))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/changes/{change.number}/$"))


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


# --- Reassign 20 ---


@pytest.fixture
def twenty_two(alice):
    group = SupportGroupFactory(name="Network")
    SupportGroupFactory(name="Storage")
    return [ChangeFactory(title=f"Patch server {number}", owning_group=group) for number in range(22)]


def ticked(page: Page) -> int:
    return page.locator('input[name="change"]:checked').count()


def test_a_range_is_reassigned_with_four_clicks_after_its_first(signed_in_page, alice, twenty_two):
    page = signed_in_page(alice)
    page.goto("/changes/?sort=number")
    hand = Hand(page)
    hand.click(page.get_by_label(f"Tick {twenty_two[1].number}"))
    hand.count = 0
    hand.click(page.get_by_label(f"Tick {twenty_two[20].number}"), modifiers=["Shift"])
    assert ticked(page) == 20
    hand.click(page.get_by_role("button", name="Reassign…"))
    hand.click(page.get_by_role("button", name="Storage"))
    expect(page.get_by_text("20 changes can be done")).to_be_visible()
    hand.click(page.get_by_role("button", name="Reassign 20 changes"))
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    assert hand.count <= 4


def test_a_range_is_ticked_and_unticked_by_keyboard(signed_in_page, alice, twenty_two):
    page = signed_in_page(alice)
    page.goto("/changes/?sort=number")
    page.get_by_label(f"Tick {twenty_two[3].number}").focus()
    page.keyboard.press("Space")
    page.get_by_label(f"Tick {twenty_two[7].number}").focus()
    page.keyboard.press("Shift+Space")
    assert ticked(page) == 5
    expect(page.locator("#bulk-count")).to_have_text("5")
    page.get_by_label(f"Tick {twenty_two[5].number}").focus()
    page.keyboard.press("Shift+Space")  # unticks from 7 back to 5
    assert ticked(page) == 2
    # The keyboard map has it beside j, k and x, which move the focus to links.
    page.get_by_label(f"Tick {twenty_two[5].number}").focus()
    for key in ("j", "x", "j", "j", "j", "Shift+Space"):
        page.keyboard.press(key)
    assert ticked(page) == 6
    expect(page.get_by_role("link", name=twenty_two[9].number)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Shift+Space")  # unticks from 9 back to 8
    assert ticked(page) == 4
    # After the list was renewed, there is no range to continue.
    page.get_by_label("Search changes").fill('"server 1"')  # in quotes: 1 alone is also a number of a change
    expect(page.locator("td.title")).to_have_count(11)
    page.get_by_label(f"Tick {twenty_two[15].number}").click(modifiers=["Shift"])
    assert ticked(page) == 1


# --- Approve 5 ---


@pytest.fixture
def five_plans(alice, carol):
    change_in(Phase.APPROVE_PLAN, requested_by=carol)
    return [change_in(Phase.APPROVE_PLAN, requested_by=alice) for _ in range(5)]


def test_five_plans_are_approved_with_a_preview(signed_in_page, carol, five_plans):
    page = signed_in_page(carol)
    page.goto("/")
    hand = Hand(page)
    hand.click(page.get_by_role("link", name="All that wait for my approval"))
    hand.click(page.get_by_label("Tick all changes on this page"))
    hand.click(page.get_by_role("button", name="Approve…"))
    hand.click(page.get_by_role("button", name="Preview"))
    expect(page.get_by_text("5 changes can be done")).to_be_visible()
    hand.click(page.get_by_role("button", name="Approve 5 plans"))
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    assert hand.count <= 7


def test_five_plans_are_approved_one_after_the_other_as_they_are_read(signed_in_page, carol, five_plans):
    page = signed_in_page(carol)
    page.goto("/")
    hand = Hand(page)
    hand.click(page.locator(".desk-approvals .need-head a").first)
    for change in five_plans:
        expect(page).to_have_url(re.compile(f"/changes/{change.number}/"))
        hand.click(page.get_by_role("button", name="Approve and next"))
    expect(page.get_by_text("No other plan waits for your decision.")).to_be_visible()
    assert Approval.objects.count() == 5
    assert hand.count <= 7


# --- What changed since yesterday ---


@pytest.mark.parametrize("scripts", [True, False])
def test_what_changed_since_yesterday_is_two_clicks_away(signed_in_page, alice, acme, scripts):
    with time_machine.travel(timezone.now() - timedelta(days=3), tick=False):
        changes = [ChangeFactory(title=f"Patch server {number}") for number in range(4)]
    look(alice.pk, changes[1], changes[1].last_activity_at)
    Comment(change=changes[1], author=alice, body="The parts are here.").save()
    with transaction.atomic():
        ExternalReference.objects.create(change=changes[2], system=acme, external_id="C-1")
    page = signed_in_page(alice, java_script_enabled=scripts)
    page.goto("/")
    hand = Hand(page)
    hand.click(page.get_by_role("link", name="Changes", exact=True))
    hand.click(page.get_by_role("link", name="Active since yesterday"))
    expect(page.locator("td.title")).to_have_count(2)
    assert [page.locator("td.key").nth(row).inner_text() for row in (0, 1)] == [changes[2].number, changes[1].number]
    expect(page.locator("tr", has_text="New since you looked")).to_contain_text(changes[1].number)
    assert hand.count <= 2


# --- Export for an auditor ---


@pytest.mark.parametrize("label", ["Changes", "History", "Approvals", "Comments", "References", "Exchange log"])
def test_each_file_is_two_clicks_away(signed_in_page, audrey, acme, label):
    ChangeFactory(owning_group=acme.external_groups.get().group)
    page = signed_in_page(audrey)
    page.goto("/")
    hand = Hand(page)
    hand.click(page.get_by_role("link", name="Changes", exact=True))
    with page.expect_download() as download:
        hand.click(page.locator(".exports").get_by_role("link", name=label, exact=True))
    assert download.value.path().read_text().startswith('\ufeff"number"')
    assert hand.count <= 2


def test_a_print_shows_what_is_folded_and_no_navigation(signed_in_page, audrey):
    change = change_in(Phase.APPROVE_PLAN)
    page = signed_in_page(audrey)
    for address in ("/changes/", f"/changes/{change.number}/"):
        page.emulate_media(media="screen")
        page.goto(address)
        page.emulate_media(media="print")
        expect(page.locator(".bar")).to_be_hidden()
        assert page.locator("main button:visible").all_inner_texts() == []
        folded = page.locator("main details:not([open]) > :not(summary)")
        hidden = folded.evaluate_all(
            "all => all.filter((each) => !each.closest('form, .saved, .composer') && !each.checkVisibility())"
            ".map((each) => each.outerHTML)"
        )
        assert hidden == []
        expect(page.locator("h1")).to_be_visible()
