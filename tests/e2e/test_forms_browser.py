"""Sending forms in a real browser: only once, only on purpose, and again after the back button."""

from playwright.sync_api import expect

from changes.choices import Phase
from changes.models import Change
from tests.factories import change_in


def test_a_double_click_sends_a_form_once_and_after_going_back_it_can_be_sent_again(signed_in_page, alice):
    page, posts = signed_in_page(alice), []
    page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    page.goto("/changes/new/")
    page.get_by_label("Title").fill("Replace core switch")
    page.get_by_role("button", name="Create change").dblclick()
    expect(page.get_by_text("was created.")).to_be_visible()
    assert len([url for url in posts if url.endswith("/changes/new/")]) == 1
    page.go_back()
    page.get_by_label("Title").fill("And its spare")
    page.get_by_role("button", name="Create change").click()
    expect(page.get_by_role("heading", name="And its spare")).to_be_visible()
    assert [*Change.objects.order_by("pk").values_list("title", flat=True)] == ["Replace core switch", "And its spare"]


def test_no_single_key_saves_an_edit_but_ctrl_enter_in_the_form_does(signed_in_page, alice):
    change = change_in(Phase.PLAN, requested_by=alice, title="Before")
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/edit/")
    page.get_by_label("Title").fill("After")
    page.get_by_role("heading", name="What").click()
    page.keyboard.press("s")
    page.keyboard.press("Control+Enter")
    # If the key had saved the form, the answer would have arrived before this one.
    expect(page.locator("#will-send")).not_to_be_empty()
    assert page.url.endswith("/edit/")
    page.get_by_label("Title").press("Control+Enter")
    expect(page.get_by_text(f"{change.number} was saved.")).to_be_visible()
    assert Change.objects.get(pk=change.pk).title == "After"


def test_a_field_with_an_error_is_not_left_folded_away(signed_in_page, alice):
    page = signed_in_page(alice)
    page.goto("/changes/new/")
    page.get_by_label("Title").fill("Replace core switch")
    page.get_by_role("heading", name="How and when").click()
    page.get_by_label("Planned start").press_sequentially("12")  # half a date
    page.get_by_role("heading", name="How and when").click()
    expect(page.get_by_label("Planned start")).to_be_hidden()
    page.get_by_role("button", name="Create change").click()
    expect(page.get_by_label("Planned start")).to_be_visible()
    assert not Change.objects.exists()
