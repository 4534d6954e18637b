"""The desk refreshes itself. Calendar and workflow need only links. Both are tested with and without scripts."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from changes.choices import Phase
from integrations.models import OutgoingOperation
from tests.factories import ChangeFactory, SupportGroupFactory, change_in

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)


def test_the_desk_shows_what_was_refused_meanwhile_and_keeps_the_focus(signed_in_page, alice, acme):
    page = signed_in_page(alice)
    page.clock.install()
    page.goto("/")
    expect(page.get_by_text("Nothing is stuck")).to_be_visible()
    updates = page.get_by_role("link", name="Stop updating")
    updates.focus()
    operation = ChangeFactory(owning_group=acme.external_groups.get().group).outgoing_operations.get()
    OutgoingOperation.objects.update(status="Refused", last_error="refused with 422: no such group")
    page.clock.run_for(11_000)
    refused = page.get_by_role("link", name="Assign 1 to ACME")
    expect(refused).to_be_visible()
    expect(page.get_by_text("Nothing is stuck")).to_have_count(0)
    expect(page.get_by_role("link", name="Stop updating")).to_be_focused()
    refused.click()
    expect(page).to_have_url(f"/exchange/{operation.pk}/")


def test_updating_stops_when_somebody_says_so(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto("/")
    page.get_by_role("link", name="Stop updating").click()
    expect(page.get_by_text("It does not update.")).to_be_visible()
    page.get_by_role("link", name="Update every 10 seconds").click()
    expect(page.get_by_role("link", name="Stop updating")).to_be_visible()


def test_from_the_desk_to_a_change_and_to_all_of_them_without_scripts(signed_in_page, alice):
    SupportGroupFactory(name="Network").members.add(alice)
    change = change_in(Phase.EVALUATE, title="Renew the certificate")
    page = signed_in_page(alice, java_script_enabled=False)
    page.goto("/")
    expect(page.get_by_text("It updates every 10 seconds.")).to_be_hidden()
    page.get_by_role("link", name="All in Classification").click()
    page.get_by_role("link", name="Renew the certificate").click()
    expect(page).to_have_url(f"/changes/{change.number}/")


@pytest.mark.parametrize("scripts", [True, False])
def test_the_calendar_leads_from_a_month_to_a_day_to_a_change(signed_in_page, alice, scripts):
    changes = [
        ChangeFactory(planned_start=start, planned_end=start + timedelta(hours=1), title=f"Change {number}", service="")
        for number, start in enumerate(NOON + n * timedelta(minutes=10) for n in range(5))
    ]
    page = signed_in_page(alice, java_script_enabled=scripts, timezone_id="UTC")
    page.goto("/calendar/?view=month&date=2026-11-24")
    follow(page, "Next")
    follow(page, "+2 more on 2 December")
    expect(page.get_by_text("Wednesday, 2 December 2026")).to_be_visible()
    follow(page, "Week")
    expect(page.get_by_role("link", name="Sunday, 6 December", exact=True)).to_be_visible()
    follow(page, f"{changes[4].number} Change 4")
    expect(page).to_have_url(f"/changes/{changes[4].number}/")


def test_on_a_narrow_screen_the_calendar_is_a_list(signed_in_page, alice):
    ChangeFactory(planned_start=NOON, planned_end=NOON + timedelta(hours=1))
    page = signed_in_page(alice, viewport={"width": 375, "height": 800}, timezone_id="UTC")
    page.goto("/calendar/?date=2026-12-02")
    expect(page.get_by_text("Wed 2 Dec")).to_have_count(2)  # the day, and the time of the change
    expect(page.get_by_role("link", name="Replace core switch")).to_be_visible()
    page.goto("/calendar/?view=month&date=2026-12-02")
    expect(page.get_by_role("link", name="Wednesday, 2 December", exact=True)).to_be_visible()
    expect(page.get_by_text("Thursday, 3 December", exact=True)).to_be_hidden()


def follow(page: Page, name: str) -> None:
    """Follows a link by keyboard: sets the focus on it and presses Enter."""
    link = page.get_by_role("link", name=name, exact=True)
    link.focus()
    expect(link).to_be_focused()
    link.press("Enter")
    page.wait_for_load_state()
