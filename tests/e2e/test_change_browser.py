"""The page of a change in a real browser: parts that refresh themselves, parts that must not, and the keyboard."""

import re

import pytest
from playwright.sync_api import expect

from changes.actor import acting
from changes.choices import Decision, Phase
from changes.models import Approval, Change, Comment
from changes.pages.change.timeline import PAGE_SIZE
from tests.barriers import barriers
from tests.factories import change_in

# The page asks every 8 seconds.
SOON = 9_000


@pytest.fixture
def change(alice, acme):
    return change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)


def edit(user, change, **values):
    with acting(user):
        fresh = Change.objects.get(pk=change.pk)
        for name, value in values.items():
            setattr(fresh, name, value)
        fresh.save()


@pytest.mark.django_db(transaction=True)
def test_what_happens_elsewhere_appears_by_itself_and_nothing_typed_is_lost(signed_in_page, alice, carol, change):
    page = signed_in_page(alice)
    page.clock.install()
    page.goto(f"/changes/{change.number}/")
    box = page.locator("#id_body")
    box.fill("Half a sentence")
    edit(carol, change, title="Another switch", risk="High", planned_start=None, planned_end=None)
    Comment(change=change, author=carol, body="I am on it").save()
    page.clock.run_for(SOON)
    expect(page.locator("#timeline")).to_contain_text("I am on it")
    expect(page.locator("#facts")).to_contain_text("Not planned")
    expect(page.locator("#path")).to_contain_text("Planned start must be set.")
    expect(page.locator("#details")).to_contain_text("High")
    expect(page.locator("h1")).to_have_text(f"{change.number} Another switch")
    expect(page).to_have_title(f"{change.number} Another switch · casexchange")
    expect(page.locator("#updated")).to_contain_text("Updated automatically")
    expect(box).to_have_value("Half a sentence")
    expect(box).to_be_focused()


@pytest.mark.django_db(transaction=True)
def test_the_button_acts_on_the_change_as_it_is_shown_after_it_was_renewed(signed_in_page, alice, carol, change):
    page = signed_in_page(alice)
    page.clock.install()
    page.goto(f"/changes/{change.number}/")
    page.locator("#move-ApprovePlan").focus()
    edit(carol, change, risk="High")
    page.clock.run_for(SOON)
    expect(page.locator("#details")).to_contain_text("High")
    expect(page.locator("#move-ApprovePlan")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text(f"{change.number} is in Approve plan now.")


@pytest.mark.django_db(transaction=True)
def test_a_timeline_that_somebody_reads_further_down_stays_and_offers_what_is_new(signed_in_page, alice, change):
    for number in range(PAGE_SIZE + 5):
        Comment(change=change, author=alice, body=f"Comment number {number}.", visibility="private").save()
    page = signed_in_page(alice)
    page.clock.install()
    page.goto(f"/changes/{change.number}/?show=comments")
    expect(page.locator(".entry")).to_have_count(PAGE_SIZE)
    page.locator("#older-link").click()
    expect(page.locator(".entry")).to_have_count(PAGE_SIZE + 5)
    expect(page.locator("#older-link")).to_have_count(0)
    Comment(change=change, author=alice, body="The newest", visibility="private").save()
    page.clock.run_for(SOON)
    expect(page.locator("#timeline-news")).to_be_visible()
    expect(page.locator(".entry")).to_have_count(PAGE_SIZE + 5)
    page.locator("#timeline-news a").click()
    expect(page.locator(".entry").first).to_contain_text("The newest")
    expect(page.locator("#timeline-news")).to_be_hidden()


@pytest.mark.django_db(transaction=True)
def test_a_filter_swaps_the_timeline_alone_lives_in_the_address_and_goes_back(signed_in_page, alice, change):
    Comment(change=change, author=alice, body="Parts ordered").save()
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.locator("#id_body").fill("Half a sentence")
    page.locator("#show-operations").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".entry-comment")).to_have_count(0)
    expect(page.locator(".entry-outgoing").first).to_be_visible()
    expect(page.locator("#show-operations")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?show=operations$"))
    expect(page.locator("#id_body")).to_have_value("Half a sentence")
    page.go_back()
    expect(page.locator(".entry-comment")).to_have_count(1)


@pytest.mark.django_db(transaction=True)
def test_without_javascript_filters_older_entries_and_abandoning_are_links_and_forms(signed_in_page, carol, change):
    for number in range(PAGE_SIZE + 1):
        Comment(change=change, author=carol, body=f"Comment number {number}.").save()
    page = signed_in_page(carol, java_script_enabled=False)
    page.goto(f"/changes/{change.number}/")
    page.locator("#show-comments").click()
    expect(page.locator(".entry")).to_have_count(PAGE_SIZE)
    page.locator("#older-link").click()
    expect(page.locator("#timeline")).to_contain_text("Comment number 0.")
    page.locator("#choose-and-abandon").click()
    expect(page.locator("main")).to_contain_text("Cancel to ACME")
    page.locator("#code-Rejected").check()
    page.get_by_role("button", name="Abandon").click()
    expect(page.locator("main")).to_contain_text(f"{change.number} is in Abandon now.")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "dark")])
def test_with_all_unfolded_it_has_no_violation_and_nothing_sticks_out(
    signed_in_page, alice, carol, acme, scheme, width
):
    """As it is when it is opened: test_every_page.py."""
    group = acme.external_groups.get().group
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=group, implementation_plan="Step\n" * 60)
    edit(alice, change, implementation_plan="Step\n" * 30 + "Another\n" + "Step\n" * 29)
    Approval(change=change, author=alice, decision=Decision.DENIED, comment="Not yet").save()
    Comment(change=change, author=alice, body="Parts ordered").save()
    page = signed_in_page(carol, color_scheme=scheme, viewport={"width": width, "height": 900})
    for path in ("", "?show=edits"):
        page.goto(f"/changes/{change.number}/{path}")
        for fold in page.locator("main details summary").all():
            fold.click()
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
