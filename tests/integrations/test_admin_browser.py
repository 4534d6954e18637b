"""The main path through the administration in a real browser. e2e/test_every_page.py checks each page."""

import re

from playwright.sync_api import expect

from changes.models import Preferences
from integrations.models import ExternalSystem, OutgoingOperation
from tests.factories import ChangeFactory, PartnerUserFactory, SupportGroupFactory, UserFactory


def test_a_partner_is_registered_gets_a_change_is_disabled_and_taken_up_again(signed_in_page, ingrid, alice):
    PartnerUserFactory(username="gamma-integration")
    page = signed_in_page(ingrid)
    page.goto("/admin/")
    page.get_by_role("link", name="External systems").click()
    page.goto("/admin/integrations/externalsystem/add/")  # all settings; the list leads to "Connect a partner"
    page.get_by_label("System id").fill("GAMMA")
    page.get_by_label("Authorized user").select_option("gamma-integration")
    page.get_by_label("Endpoint URL").fill("https://gamma.example/operations")
    page.get_by_label("Generate a new secret").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="The new signing secret of GAMMA")).to_be_visible()
    assert page.locator("code").inner_text() == ExternalSystem.objects.get().signing_secret
    page.get_by_role("link", name="I have copied it: continue").click()

    page.goto("/admin/changes/supportgroup/add/")
    page.get_by_label("Name:", exact=True).fill("GAMMA Storage")
    page.locator("#id_external_group-0-system").select_option("GAMMA")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()

    page.goto(f"/admin/integrations/externalsystem/{ExternalSystem.objects.get().pk}/change/")
    page.get_by_label("Enabled").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    desk = signed_in_page(alice)
    change = ChangeFactory(requested_by=alice)
    desk.goto(f"/admin/changes/change/{change.pk}/change/")
    desk.get_by_label("Owning group").select_option("GAMMA Storage")
    desk.locator("#id_comments-0-body").fill("Please do")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_text("was changed successfully")).to_be_visible()

    page.goto(f"/admin/integrations/externalsystem/{ExternalSystem.objects.get().pk}/change/")
    page.get_by_label("Enabled").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("2 operations wait.")).to_be_visible()
    page.get_by_label("Reason for skipping").fill("Done by telephone")
    page.get_by_role("button", name="Skip 2 and enable").click()
    expect(page.get_by_text("skipped operations: 2")).to_be_visible()
    assert {row.skip_reason for row in OutgoingOperation.objects.all()} == {"Done by telephone"}
    assert ExternalSystem.objects.get().enabled


def test_every_page_of_the_administration_has_the_search_for_changes(signed_in_page, ingrid):
    change = ChangeFactory(title="Replace core switch")
    page = signed_in_page(ingrid)
    page.goto("/admin/integrations/outgoingoperation/")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search changes")).to_be_focused()
    page.keyboard.type(str(change.pk))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/changes/{change.number}/$"))


def test_without_shortcuts_a_slash_in_the_administration_is_nothing(signed_in_page, ingrid):
    Preferences.objects.create(user=ingrid, keyboard_shortcuts=False)
    page = signed_in_page(ingrid)
    page.goto("/admin/")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search changes")).not_to_be_focused()


def test_on_a_phone_no_action_is_hidden_and_a_list_tells_that_it_has_more_columns(signed_in_page, acme, alice):
    root = UserFactory(username="root", is_superuser=True, is_staff=True)
    group = SupportGroupFactory(name="Network")
    page = signed_in_page(root)
    page.set_viewport_size({"width": 375, "height": 760})
    for address in (
        "/admin/integrations/externalsystem/",
        f"/admin/integrations/externalsystem/{acme.pk}/change/",
        "/admin/auth/user/",
        f"/admin/auth/user/{alice.pk}/change/",
        "/admin/changes/supportgroup/",
        f"/admin/changes/supportgroup/{group.pk}/change/",
    ):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == 375, address
        for each in page.locator("#content .object-tools a, .submit-row input, .submit-row a, .actions button").all():
            box = each.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= 375, (address, each.inner_text())
    # Fields do not touch the edge of their card, and a label stands before its lists.
    card, field = page.locator("fieldset.module").first.bounding_box(), page.locator("#id_name").bounding_box()
    assert field["x"] - card["x"] >= 10
    lists = page.locator(".field-members .selector-chosen").bounding_box()
    assert lists["x"] + lists["width"] <= card["x"] + card["width"] - 10
    label = page.locator("label", has_text=re.compile("^Members:"))
    assert label.bounding_box()["y"] < page.locator(".field-members .selector").bounding_box()["y"]
    # Scrolled to the last column, the row still says whose it is.
    page.goto("/admin/auth/user/")
    results = page.locator("#changelist-form .results")
    results.evaluate("list => { list.scrollLeft = list.scrollWidth }")
    name = page.get_by_role("link", name="alice", exact=True).bounding_box()
    assert name["x"] >= 0 and name["x"] + name["width"] < 375
    assert "gradient" in results.evaluate("list => getComputedStyle(list).backgroundImage")
