"""A test operation in a real browser, with and without scripts. Its pages and the status page are accessible."""

import pytest
from playwright.sync_api import expect

from changes.models import Change
from integrations.outgoing import breaker, delivery
from tests.barriers import barriers

from .partner import answer

STATUS = "/exchange/status/"
TEST = f"{STATUS}ACME/test/"
# Each page asks more often than this.
SOON = 11_000


def test_it_is_sent_from_the_administration_and_its_page_tells_by_itself_that_it_works(
    signed_in_page, ingrid, acme, partner
):
    page = signed_in_page(ingrid)
    page.clock.install()
    page.goto(f"/admin/integrations/externalsystem/{acme.pk}/change/")
    page.get_by_role("link", name="Send a test operation").click()
    expect(page.get_by_text("Test of the exchange with ACME: please ignore")).to_be_visible()
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_role("heading", name="The Assign is recorded.")).to_be_visible()
    delivery.drain()
    page.clock.run_for(SOON)
    expect(page.get_by_role("heading", name="It works: ACME has taken the test.")).to_be_visible()
    expect(page.locator("#live-said")).to_have_text("ACME has taken the Cancel.")
    assert partner.operations == ["Assign", "Cancel"]


def test_without_scripts_it_is_looked_at_again(signed_in_page, ingrid, partner):
    page = signed_in_page(ingrid, java_script_enabled=False)
    page.goto(STATUS)
    page.get_by_role("link", name="Send a test operation to ACME").click()
    page.get_by_role("button", name="Send the test").click()
    delivery.drain()
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_role("heading", name="It works: ACME has taken the test.")).to_be_visible()
    page.get_by_role("link", name=Change.objects.get().number).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Test of the exchange with ACME")


def test_what_is_to_be_mended_is_one_press_of_a_key_away(signed_in_page, ingrid, partner):
    partner.default = answer(401)
    page = signed_in_page(ingrid)
    page.goto(TEST)
    page.get_by_role("button", name="Send the test").press("Enter")
    expect(page.get_by_role("heading", name="The Assign is recorded.")).to_be_visible()
    delivery.drain()
    expect(page.get_by_role("heading", name="ACME does not accept our credentials (401).")).to_be_visible()
    page.get_by_role("link", name="Resume ACME").press("Enter")
    expect(page.get_by_role("heading", name="Resume ACME")).to_be_visible()


def test_the_status_page_renews_itself_and_keeps_the_focus(signed_in_page, ingrid, acme):
    page = signed_in_page(ingrid)
    page.clock.install()
    page.goto(STATUS)
    test = page.get_by_role("link", name="Send a test operation to ACME")
    test.focus()
    breaker.open_by_hand(acme, ingrid, "its desk moves")
    page.clock.run_for(SOON)
    expect(page.get_by_text("Somebody paused sending to ACME")).to_be_visible()
    expect(test).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_became_of_it_has_no_barrier_and_fits(signed_in_page, ingrid, acme, beta, partner, scheme):
    """The other pages of the status: test_every_page.py."""
    partner.script = [answer(200, {"external_id": "ACME-77"}), answer(422, {"detail": "No such record."})]
    page = signed_in_page(ingrid, color_scheme=scheme)
    page.goto(TEST)
    page.get_by_role("button", name="Send the test").click()
    expect(page.get_by_role("heading", name="The Assign is recorded.")).to_be_visible()
    delivery.drain()
    expect(page.get_by_role("heading", name="ACME refuses the Cancel (422).")).to_be_visible()
    breaker.open_by_hand(beta, ingrid, "its desk moves")
    faults = {}
    for address in (page.url, f"{STATUS}BETA/test/"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(address)
        if found := barriers(page):
            faults[address] = found
        page.set_viewport_size({"width": 375, "height": 800})
        if (width := page.evaluate("document.documentElement.scrollWidth")) > 375:
            faults[address, "width"] = width
    assert faults == {}
