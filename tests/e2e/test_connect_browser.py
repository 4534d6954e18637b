"""The page "Connect" in a real browser: a value is copied by its button, and can be selected without scripts."""

import pytest
from playwright.sync_api import expect

CONNECT = "/exchange/systems/ACME/connect/"


@pytest.mark.parametrize("may_use_clipboard", [True, False])
def test_a_button_copies_the_value_beside_it(signed_in_page, ingrid, acme, settings, may_use_clipboard):
    page = signed_in_page(ingrid)
    if may_use_clipboard:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(CONNECT)
    button = page.get_by_role("button", name="Copy Our address")
    button.click()
    expect(page.locator("#copied")).to_have_text("Copied")
    if may_use_clipboard:
        assert page.evaluate("navigator.clipboard.readText()") == settings.BASE_URL
    else:  # as over plain HTTP: what is selected is copied
        assert page.evaluate("getSelection().toString()") == settings.BASE_URL


def test_without_scripts_there_is_no_button_and_one_click_selects_the_value(signed_in_page, ingrid, acme):
    page = signed_in_page(ingrid, java_script_enabled=False)
    page.goto(CONNECT)
    expect(page.get_by_role("button", name="Copy System id")).to_be_hidden()
    assert page.locator("#entry-1").evaluate("value => getComputedStyle(value).userSelect") == "all"
