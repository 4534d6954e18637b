"""In a real browser: when parts of pages poll for news, and what Back shows."""

import pytest
from playwright.sync_api import expect

from changes.models import Comment
from integrations.models import OutgoingOperation
from integrations.outgoing import breaker
from tests.factories import ChangeFactory

pytestmark = pytest.mark.django_db(transaction=True)

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_while_nobody_looks_nothing_is_asked_and_once_somebody_does_it_is_at_once(signed_in_page, alice, acme):
    page, asked = signed_in_page(alice), []
    page.clock.install()
    page.goto("/")
    expect(page.get_by_text("Nothing is stuck")).to_be_visible()
    page.on("request", lambda request: asked.append(request.headers.get("x-version")))
    page.evaluate(HIDE, True)
    page.clock.run_for(60_000)
    assert asked == []
    ChangeFactory(owning_group=acme.external_groups.get().group)
    OutgoingOperation.objects.update(status="Refused", last_error="refused with 422: no such group")
    page.evaluate(HIDE, False)
    expect(page.get_by_role("link", name="Assign 1 to ACME")).to_be_visible()
    assert len(asked) == 1 and asked[0]


def test_back_on_a_page_that_renews_itself_shows_what_is_so_now(signed_in_page, ingrid, acme):
    page = signed_in_page(ingrid)
    page.goto("/exchange/status/")
    expect(page.get_by_role("row", name="ACME")).to_contain_text("Flowing")
    page.clock.install()  # stops the clock, so that the page does not poll by itself
    page.get_by_role("link", name="Outgoing", exact=True).click()
    expect(page.get_by_role("heading", name="Exchange log")).to_be_visible()
    breaker.open_by_hand(acme, ingrid, "its desk moves")
    page.go_back()
    expect(page.get_by_role("row", name="ACME")).to_contain_text("Paused by hand")


def test_back_after_a_filter_of_a_page_that_renews_itself_goes_on_renewing_it(signed_in_page, alice, carol):
    change = ChangeFactory()
    page = signed_in_page(alice)
    page.clock.install()
    page.goto(f"/changes/{change.number}/")
    page.locator("#show-comments").click()
    expect(page).to_have_url(f"/changes/{change.number}/?show=comments")
    page.go_back()
    expect(page).to_have_url(f"/changes/{change.number}/")
    expect(page.locator(".entry-save").first).to_be_visible()
    Comment(change=change, author=carol, body="I am on it").save()
    page.clock.run_for(9_000)
    expect(page.locator("#updated")).to_contain_text("Updated automatically")
    page.get_by_role("link", name="Show it").click()  # the timeline has the focus, so it is not replaced
    expect(page.locator("#timeline")).to_contain_text("I am on it")


def test_the_log_does_not_move_under_the_pointer_and_says_what_waits(signed_in_page, ingrid, acme):
    ChangeFactory(owning_group=acme.external_groups.get().group)
    page = signed_in_page(ingrid)
    page.clock.install()
    page.goto("/exchange/")
    expect(page.get_by_role("link", name="Assign 1", exact=True)).to_have_count(1)
    page.locator("#log").hover()
    ChangeFactory(owning_group=acme.external_groups.get().group)
    page.clock.run_for(9_000)
    expect(page.get_by_text("Something new happened.")).to_be_visible()
    expect(page.get_by_role("link", name="Assign 1", exact=True)).to_have_count(1)
    page.mouse.move(1, 1)
    expect(page.get_by_role("link", name="Assign 1", exact=True)).to_have_count(2)
    expect(page.get_by_text("Something new happened.")).to_be_hidden()
