"""The jobs on one change: how many clicks and keys each takes besides the typing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from changes.choices import Phase
from changes.models import Attachment, Change, Comment
from integrations.models import DeliveryAttempt, OutgoingOperation
from tests.factories import change_in

from .hand import Hand

pytestmark = pytest.mark.django_db(transaction=True)

# A paste of a picture, as a browser makes it: the clipboard itself is closed to scripts.
PASTE = """(box) => {
  const picture = document.createElement("canvas");
  picture.width = picture.height = 8;
  return new Promise((done) => picture.toBlob((blob) => {
    const data = new DataTransfer();
    data.items.add(new File([blob], "image.png", { type: "image/png" }));
    box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    done();
  }));
}"""


def test_a_change_is_logged_and_handed_over(signed_in_page, alice, acme):
    page = signed_in_page(alice)
    page.goto("/")
    hand = Hand(page)
    hand.press("n")
    expect(page.get_by_label("Title")).to_be_focused()
    hand.type("Replace core switch")
    hand.press("Tab")
    hand.press("Tab")
    expect(page.get_by_label("Owning group")).to_be_focused()
    hand.type("ACME")
    expect(page.locator("#will-send")).to_contain_text("Saving this will send 1 operation")
    hand.press("Control+Enter")
    expect(page.get_by_text("was created.")).to_be_visible()
    assert Change.objects.get().owning_group.name == "ACME Networks"
    assert hand.count + 2 <= 8  # with the two texts


@pytest.mark.parametrize("scripts", [True, False])
def test_overlaps_on_the_service_are_seen_before_saving(signed_in_page, alice, scripts):
    start = timezone.now().replace(microsecond=0, second=0) + timedelta(days=3)
    window = {"planned_start": start, "planned_end": start + timedelta(hours=2)}
    other = change_in(Phase.PLAN, title="Move the mail", service="Mail", **window)
    page = signed_in_page(alice, java_script_enabled=scripts, timezone_id="UTC")
    page.goto("/changes/new/")
    page.get_by_label("Title").fill("Patch the mail")
    page.get_by_label("Service").fill("mail")
    page.get_by_role("heading", name="How and when").click()
    page.get_by_label("Planned start").fill(f"{start + timedelta(hours=1):%Y-%m-%dT%H:%M}")
    page.get_by_label("Planned end").fill(f"{start + timedelta(hours=3):%Y-%m-%dT%H:%M}")
    if not scripts:
        page.get_by_role("button", name="What will be sent?").click()
    expect(page.locator(".overlaps")).to_contain_text(f"{other.number} Move the mail")
    assert Change.objects.count() == 1


def test_why_it_is_stuck_is_seen_and_mended(signed_in_page, ingrid, acme):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    operation = OutgoingOperation.objects.get()
    OutgoingOperation.objects.update(
        status="Refused",
        tries=1,
        last_failure="status",
        last_http_status=422,
        last_error="refused with 422: The record is locked",
    )
    DeliveryAttempt.objects.create(
        operation=operation,
        claim=1,
        started_at=timezone.now(),
        duration=0.1,
        http_status=422,
        answer='{"detail": "The record is locked"}',
    )
    page = signed_in_page(ingrid)
    page.goto(f"/changes/{change.number}/")
    exchange = page.locator("#exchange")
    expect(exchange).to_contain_text("Assign 1 was refused. ACME answered 422")
    hand = Hand(page)
    hand.click(exchange.get_by_role("button", name="Retry now"))
    expect(page.locator("#exchange")).not_to_contain_text("was refused")
    assert OutgoingOperation.objects.get().status == "Waiting"
    assert hand.count <= 2


def test_a_pasted_picture_waits_until_it_is_attached(signed_in_page, alice):
    """It is sent to partners, even beside a private comment: pasting alone does nothing."""
    change = change_in(Phase.PLAN)
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("As it looks now:")
    page.get_by_label("Comment", exact=True).evaluate(PASTE)
    expect(page.locator(".uploads")).to_contain_text("Not attached yet")
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator(".uploads")).to_contain_text("Attach or remove it first")
    assert not Attachment.objects.exists() and not Comment.objects.exists()
    page.locator(".uploads").get_by_role("button", name="Attach").click()
    expect(page.locator(".uploads")).to_contain_text("Attached")
    attachment = Attachment.objects.get()
    assert attachment.file_name.startswith("Picture ") and attachment.file_name.endswith(".png")
    expect(page.get_by_label("Comment", exact=True)).to_have_value("As it looks now:")
