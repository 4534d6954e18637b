"""A session that expires while somebody types, in a real browser: no text is lost, and none is sent automatically."""

import pytest
from django.conf import settings
from playwright.sync_api import expect

from changes.choices import Phase
from changes.models import Change, Comment
from tests.factories import PASSWORD, change_in

SIGNED_OUT = "It is shown again as you typed it, and is not saved yet."


@pytest.fixture
def change(alice):
    return change_in(Phase.PLAN, requested_by=alice)


def lose_session(page):
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)


def sign_in(page, name):
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_comment_outlives_the_session(signed_in_page, alice, change, has_script):
    page = signed_in_page(alice, java_script_enabled=has_script)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("Half a novel\nwith two lines")
    lose_session(page)
    page.get_by_role("button", name="Add comment").click()
    expect(page.get_by_text("what you typed is kept and shown again")).to_be_visible()
    sign_in(page, "alice")
    expect(page.get_by_text(SIGNED_OUT)).to_be_visible()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half a novel\nwith two lines")
    expect(page.get_by_label("Comment", exact=True)).to_be_in_viewport()
    assert not Comment.objects.exists()
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator(".comment", has_text="Half a novel")).to_be_visible()


@pytest.mark.parametrize("has_script", [True, False])
def test_an_edit_outlives_the_session(signed_in_page, alice, change, has_script):
    page = signed_in_page(alice, java_script_enabled=has_script)
    page.goto(f"/changes/{change.number}/edit/")
    page.get_by_label("Title").fill("Typed while signed out")
    lose_session(page)
    page.get_by_role("button", name="Save").click()
    sign_in(page, "alice")
    expect(page.get_by_text(SIGNED_OUT)).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("Typed while signed out")
    assert Change.objects.get().title == change.title
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was saved.")).to_be_visible()
    assert Change.objects.get().title == "Typed while signed out"


def test_a_preview_without_a_session_leaves_the_page_and_what_is_typed(signed_in_page, alice, change):
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("Half a novel")
    lose_session(page)
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half a novel")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Sign in in a new tab").click()
    sign_in(popup.value, "alice")
    expect(popup.value.get_by_role("button", name="Sign out")).to_be_visible()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#comment-preview .written")).to_have_text("Half a novel")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Half a novel")
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator("#timeline .comment", has_text="Half a novel")).to_be_visible()
    assert Comment.objects.count() == 1
