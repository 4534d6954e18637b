"""Bulk actions and the retry of a time window in a real browser: with and without scripts, and by keyboard."""

import threading

import pytest
from django.db import connection
from playwright.sync_api import expect

from changes.bulk import running
from changes.models import BulkJob, Change, Comment
from integrations.models import OutgoingOperation
from tests.barriers import barriers
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.processes import until


@pytest.fixture
def changes(db):
    group = SupportGroupFactory(name="Network")
    return [ChangeFactory(title=f"Patch server {number}", owning_group=group) for number in range(4)]


@pytest.fixture
def worker(transactional_db):
    """`worker()` carries out the started jobs, as a worker does, while the page shows the progress."""
    threads = []

    def work():
        try:
            while running.run(60):
                pass
        finally:
            connection.close()

    def start():
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


def holds(page):
    """No violation of the rules of accessibility on this page, which test_every_page.py does not see."""
    assert barriers(page) == []


@pytest.mark.parametrize("scripts", [True, False])
def test_ticked_changes_are_given_to_a_partner(signed_in_page, worker, alice, acme, changes, scripts):
    page = signed_in_page(alice, java_script_enabled=scripts)
    page.goto("/changes/")
    for change in changes[:3]:
        page.locator(f'input[name="change"][value="{change.number}"]').check()
    page.get_by_role("button", name="Reassign…").click()
    expect(page.get_by_role("heading", name="3 changes are chosen")).to_be_visible()
    page.get_by_role("button", name="ACME Networks").click()

    expect(page.get_by_role("heading", name="Reassign to ACME Networks?")).to_be_visible()
    expect(page.get_by_text("3 Assign")).to_be_visible()
    expect(page.get_by_text("Assign to ACME", exact=True)).to_have_count(3)
    assert OutgoingOperation.objects.count() == 0
    page.get_by_role("button", name="Reassign 3 changes").click()

    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_visible()
    worker()
    if not scripts:
        # Without scripts the page does not change until it is loaded again.
        until("the job is finished", BulkJob.objects.filter(finished_at__isnull=False).exists)
        page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text("Finished").first).to_be_visible()
    expect(page.get_by_text("It went from Network to ACME Networks.")).to_have_count(3)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    if scripts:
        holds(page)
    page.get_by_role("link", name=f"{changes[0].number} Patch server 0").click()
    expect(page.get_by_role("heading", name=changes[0].number)).to_be_visible()
    assert Change.objects.filter(owning_group__name="ACME Networks").count() == 3


def test_by_keyboard_alone_a_comment_goes_to_all_that_match(signed_in_page, worker, alice, changes):
    ChangeFactory(title="Something else")
    page = signed_in_page(alice)
    page.goto("/changes/?q=Patch")
    page.get_by_label("All that match").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Comment…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="4 changes are chosen")).to_be_visible()
    page.get_by_label("Comment", exact=True).focus()
    page.keyboard.type("Postponed to the next window.")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Add a private comment?")).to_be_visible()
    expect(page.get_by_text("Nothing is sent to partners.")).to_be_visible()
    page.get_by_role("button", name="Comment on 4 changes").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    worker()
    expect(page.get_by_role("status").filter(has_text="Finished: 4 of 4; 4 done, 0 not done.")).to_be_attached()
    assert {comment.visibility for comment in Comment.objects.all()} == {"private"}


def test_the_bar_counts_what_is_ticked_and_ticks_the_whole_page(signed_in_page, alice, changes):
    page = signed_in_page(alice)
    page.goto("/changes/")
    count = page.locator("#bulk-count")
    expect(count).to_be_hidden()
    page.locator('input[name="change"]').first.check()
    expect(count).to_have_text("1")
    page.get_by_label("Tick all changes on this page").check()
    expect(count).to_have_text("4")
    page.locator('input[name="change"]').first.uncheck()
    expect(count).to_have_text("3")


@pytest.mark.parametrize("scripts", [True, False])
def test_what_was_refused_in_a_time_window_is_retried(signed_in_page, worker, ingrid, acme, changes, scripts):
    for change in changes:
        change.owning_group = acme.external_groups.get().group
        change.save()
    OutgoingOperation.objects.update(status="Refused", last_error="refused with 422", tries=3)
    page = signed_in_page(ingrid, java_script_enabled=scripts)
    page.goto("/exchange/")
    page.get_by_role("link", name="Retry a time window…").click()
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("4 operations are retried")).to_be_visible()
    expect(page.get_by_text("4 Refused")).to_be_visible()
    if scripts:
        holds(page)
    page.get_by_role("button", name="Retry 4 operations").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    worker()
    if not scripts:
        until("the job is finished", BulkJob.objects.filter(finished_at__isnull=False).exists)
        page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text("It is sent as soon as it is its turn.")).to_have_count(4)
    assert {(row.status, row.tries) for row in OutgoingOperation.objects.all()} == {("Waiting", 0)}


def test_the_log_is_narrowed_while_one_types(signed_in_page, audrey, acme, changes):
    changes[0].owning_group = acme.external_groups.get().group
    changes[0].save()
    Comment(change=changes[0], author=audrey, body="Hello").save()
    page = signed_in_page(audrey)
    page.goto("/exchange/")
    expect(page.locator("#log tbody tr")).to_have_count(2)
    page.get_by_label("Operation", exact=True).select_option("Update")
    expect(page.locator("#log tbody tr")).to_have_count(1)
    page.get_by_role("textbox", name="Change").fill("CHG9999999")
    expect(page.get_by_role("heading", name="No operation matches")).to_be_visible()
    assert "operation=Update" in page.url
