"""The editor of a connection's document in a real browser. All works without scripts; with them it helps."""

import pytest
from playwright.sync_api import expect

from tests.mapped import DOCUMENT, make_mapped

PAGE = "/exchange/systems/ACME/connection/"


@pytest.fixture
def mapped(acme):
    make_mapped(acme)
    return acme


def test_the_editor_numbers_lines_indents_and_goes_to_a_fault(signed_in_page, ingrid, mapped):
    page = signed_in_page(ingrid)
    page.goto(PAGE)
    area, numbers = page.locator("#id_document"), page.locator(".editor .numbers span")
    expect(numbers).to_have_count(len(DOCUMENT.split("\n")))
    area.press("Control+Home")
    area.press("Enter")
    area.press("Tab")
    assert area.input_value() == "\n  " + DOCUMENT
    area.press("Escape")
    area.press("Tab")
    expect(page.get_by_label("Reason")).to_be_focused()  # nobody is caught in the editor

    line = DOCUMENT.split("\n").index("      expect: [201]") + 1
    area.fill(DOCUMENT.replace("expect: [201]", "expekt: [201]"))
    page.get_by_role("button", name="Save the draft").click()
    expect(page.locator(".editor .numbers .faulty")).to_have_text(str(line))
    page.locator(".fault a").click()
    expect(area).to_be_focused()
    assert area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "expekt: [201]"


def test_all_of_it_works_without_scripts(signed_in_page, ingrid, mapped):
    page = signed_in_page(ingrid, java_script_enabled=False)
    page.goto(PAGE)
    page.locator("#id_document").fill(DOCUMENT.replace("subject", "topic"))
    page.get_by_label("Reason").fill("As they wish")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Revision 2 is active. What waits")).to_be_visible()
    page.get_by_role("link", name="Revision 1").click()
    page.get_by_role("button", name="Go back to this document").click()
    expect(page.get_by_text("Revision 3 is active. Its document")).to_be_visible()
