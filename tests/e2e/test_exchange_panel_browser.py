"""In a real browser: the forecast before a save, conflicting versions of a field, and the exchange panel's refresh."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from changes.actor import acting
from changes.choices import Phase
from changes.models import Change
from integrations.models import ExternalReference, OutgoingOperation
from tests.barriers import barriers
from tests.factories import change_in

# The page asks every 8 seconds.
SOON = 9_000


@pytest.fixture
def given(alice, acme):
    return change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)


def test_while_typing_the_page_says_what_the_save_will_send(signed_in_page, alice, given, beta):
    page = signed_in_page(alice)
    page.goto(f"/changes/{given.number}/edit/")
    told = page.locator("#will-send")
    expect(told).to_contain_text("Nothing is changed, so nothing would be sent")
    page.get_by_label("Title").fill("Another title")
    expect(told).to_contain_text("These fields are not sent to ACME now")
    page.get_by_label("Owning group").select_option("BETA Servers (BETA)")
    expect(told).to_contain_text("Saving this will send 2 operations")
    expect(told).to_contain_text(re.compile("Accept.*to ACME.*Assign.*to BETA", re.DOTALL))
    expect(page.locator("#will-send-news")).to_contain_text("Saving this will send 2 operations")
    page.get_by_label("Business impact").select_option("Enterprise")
    expect(page.locator("#priority-now")).to_have_text("High")
    assert barriers(page) == []
    assert OutgoingOperation.objects.count() == 1
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was saved.")).to_be_visible()
    operations = OutgoingOperation.objects.order_by("id").values_list("operation", "system__system_id")
    assert [*operations] == [("Assign", "ACME"), ("Accept", "ACME"), ("Assign", "BETA")]


def test_without_a_script_a_button_says_it_and_keeps_what_was_typed(signed_in_page, alice, given):
    page = signed_in_page(alice, java_script_enabled=False)
    page.goto(f"/changes/{given.number}/edit/")
    page.get_by_label("Service").fill("Typed")
    page.get_by_role("heading", name="Outcome").click()
    page.get_by_label("Completion code").select_option("Withdrawn")
    page.get_by_role("button", name="What will be sent?").click()
    expect(page.get_by_role("heading", name="Saving this will send 1 operation")).to_be_visible()
    expect(page.get_by_text("ACME is told that the change is withdrawn.")).to_be_visible()
    expect(page.get_by_label("Service")).to_have_value("Typed")
    assert OutgoingOperation.objects.count() == 1
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was saved.")).to_be_visible()
    assert OutgoingOperation.objects.latest("id").operation == "Cancel"


@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no script"])
def test_two_versions_are_chosen_between_by_keyboard(signed_in_page, alice, carol, given, has_script):
    page = signed_in_page(alice, java_script_enabled=has_script)
    page.goto(f"/changes/{given.number}/edit/")
    other = Change.objects.get()
    with acting(carol):
        other.title, other.service = "Carol's title", "Carol's service"
        other.save()
    page.get_by_label("Title").fill("Alice's title")
    page.get_by_label("Service").fill("Alice's service")
    page.get_by_role("button", name="Save").press("Enter")
    title, service = page.get_by_role("group", name="Title"), page.get_by_role("group", name="Service")
    expect(title).to_contain_text("Carol's title")
    title.get_by_label("Theirs").press("Space")
    page.keyboard.press("Tab")
    service.get_by_label("Another value").press("Space")
    service.get_by_label("Service", exact=True).press("End")
    page.keyboard.type(" and more")
    page.get_by_role("button", name="Save the chosen values").press("Enter")
    expect(page.get_by_text("was saved.")).to_be_visible()
    stored = Change.objects.get()
    assert (stored.title, stored.service) == ("Carol's title", "Alice's service and more")


def test_the_exchange_updates_itself_and_leaves_the_focus_where_it_is(signed_in_page, ingrid, acme, given):
    OutgoingOperation.objects.update(status="Refused", last_error="Refused with 422")
    page = signed_in_page(ingrid)
    page.clock.install()
    page.goto(f"/changes/{given.number}/")
    panel = page.locator("#exchange")
    expect(panel).to_contain_text("Assign 1 was refused.")
    skip = panel.get_by_role("link", name="Skip")
    skip.focus()
    ExternalReference.objects.create(change=given, system=acme, external_id="A-1", external_status="In progress")
    page.clock.run_for(SOON)
    expect(panel).to_contain_text("In progress")
    expect(page.locator("#assignment")).to_contain_text("A-1")
    expect(skip).to_be_focused()
    assert page.locator("#exchange-news").inner_text() == ""

    OutgoingOperation.objects.update(status="Delivered", settled_at=timezone.now(), is_next=False)
    page.clock.run_for(SOON)
    expect(panel).to_contain_text("Nothing is on its way to ACME.")
    expect(page.locator("#exchange-news")).to_contain_text("ACME: Holds it.")
    expect(panel.get_by_role("link", name="Skip")).to_have_count(0)
