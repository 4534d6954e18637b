"""Jobs with the calendar and the preferences in a real browser, with the clicks and keys that they take at most."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from changes.models import Preferences
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
# A Tuesday that is not over for a long time.
DAY = datetime(2099, 12, 1, tzinfo=UTC)


def corner(page: Page, selector: str) -> tuple[float, float]:
    """A free place near the lower end of an element."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] - 4


def in_lane(page: Page, selector: str) -> tuple[float, float]:
    """The place of an element's column in the first lane."""
    box = page.locator(".lane").first.bounding_box()
    assert box is not None
    return corner(page, selector)[0], box["y"] + box["height"] / 2


@pytest.mark.parametrize(
    ("view", "place", "start"),
    [
        ("week", ".column:nth-child(4) .slot", "2099-12-03T09:00"),
        ("day", ".column:nth-child(15) .slot", "2099-12-01T14:00"),
        ("month", "td:has(a[href$='date=2099-12-03'])", "2099-12-03T09:00"),
    ],
)
def test_one_click_on_a_free_place_plans_a_new_change_there(signed_in_page, alice, view, place, start):
    ChangeFactory(planned_start=DAY, planned_end=DAY + timedelta(hours=3), service="LAN & WAN")
    page = signed_in_page(alice, viewport={"width": 1280, "height": 900}, timezone_id="UTC")
    page.goto(f"/calendar/?view={view}&date=2099-12-01")
    page.mouse.click(*(corner if view == "month" else in_lane)(page, place))
    expect(page).to_have_url(re.compile("/changes/new/"))
    expect(page.get_by_label("Planned start")).to_be_visible()
    expect(page.get_by_label("Planned start")).to_have_value(start)
    if view != "month":  # on the service of the lane
        expect(page.get_by_label("Service")).to_have_value("LAN & WAN")


def test_a_click_in_the_lane_of_a_group_plans_a_change_of_it(signed_in_page, alice):
    group = SupportGroupFactory(name="Networks")
    ChangeFactory(planned_start=DAY, planned_end=DAY + timedelta(hours=3), owning_group=group)
    page = signed_in_page(alice, viewport={"width": 1280, "height": 900}, timezone_id="UTC")
    page.goto("/calendar/?view=week&date=2099-12-01&lanes=group")
    page.mouse.click(*in_lane(page, ".column:nth-child(4) .slot"))
    expect(page.get_by_label("Owning group")).to_have_value(str(group.pk))


def test_the_same_by_keyboard_and_without_scripts_on_a_narrow_screen(signed_in_page, alice):
    page = signed_in_page(alice, viewport={"width": 375, "height": 800}, timezone_id="UTC", java_script_enabled=False)
    page.goto("/calendar/?date=2099-12-01")
    page.get_by_role("link", name="New change on Thursday, 3 December").press("Enter")
    expect(page.get_by_label("Planned start")).to_have_value("2099-12-03T09:00")


def test_no_text_of_a_week_or_a_day_is_cut(signed_in_page, alice):
    title = "Replace the uninterruptible power supply of the second data centre, " * 2
    for hour in (0, 12, 23):
        start = DAY + timedelta(hours=hour)
        ChangeFactory(title=f"{title}{hour}", planned_start=start, planned_end=start + timedelta(minutes=30))
    for width in (375, 1280, 1920):
        page = signed_in_page(alice, viewport={"width": width, "height": 900}, timezone_id="UTC")
        for view in ("week", "day"):
            page.goto(f"/calendar/?view={view}&date=2099-12-01")
            boxes = page.locator(".box")
            expect(boxes).to_have_count(3)
            cut = (
                "found => found.filter(box => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)"
            )
            assert boxes.evaluate_all(f"found => ({cut})(found).length") == 0, (width, view)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("system", "chosen", "dark"), [("light", "dark", True), ("dark", "light", False)])
def test_a_theme_is_chosen_once_and_holds_on_all_pages(signed_in_page, system, chosen, dark):
    root = UserFactory(username="root", is_staff=True, is_superuser=True)
    page = signed_in_page(root, color_scheme=system)
    page.goto("/preferences/")
    page.get_by_label("Theme").select_option(chosen)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Your preferences were saved.")).to_be_visible()
    assert Preferences.objects.get().theme == chosen
    for address in ("/", "/calendar/", "/admin/", "/admin/changes/change/"):
        page.goto(address)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(14, 20, 24)") is dark and (colour == "rgb(242, 245, 247)") is not dark, address
