"""Work on the pages in a real browser: by mouse, by keyboard only, and on a narrow screen."""

import re
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.urls import reverse
from playwright.sync_api import Page, expect

from changes.choices import Phase, Role
from changes.models import Approval, Attachment, Change, Comment
from integrations.models import ExternalReference, IncomingOperation, OutgoingOperation
from integrations.outgoing import outbox
from tests.factories import PASSWORD, ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, UserFactory, change_in

FOCUSED = "document.activeElement"


def sign_in(page: Page, name: str) -> None:
    page.goto("/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Desk", level=1)).to_be_visible()


def move(page: Page, phase: str) -> None:
    page.get_by_role("button", name=f"Move to {phase}").click()
    expect(page.get_by_text(f"is in {phase} now.")).to_be_visible()


def test_a_change_from_its_creation_to_close(page, signed_in_page, alice, carol, acme, tmp_path):
    sign_in(page, "alice")
    page.get_by_role("link", name="New change").first.click()
    page.get_by_label("Title").fill("Replace core switch")
    page.get_by_role("button", name="Create change").click()
    expect(page.get_by_text("was created.")).to_be_visible()

    # Each unmet condition links to its field.
    page.get_by_role("link", name="Description must be set.").click()
    expect(page.get_by_label("Description")).to_be_focused()
    for label in ("Description", "Reason for change", "Justification", "Category", "Service"):
        page.get_by_label(label, exact=True).fill(f"The {label.lower()}")
    page.get_by_label("Risk").select_option("Low")
    page.get_by_label("Owning group").select_option("ACME Networks (ACME)")
    page.get_by_role("heading", name="How and when").click()
    page.get_by_label("Implementation plan").fill("Swap it")
    page.get_by_label("Backout plan").fill("Swap back")
    page.get_by_label(re.compile("Planned start")).fill("2026-12-01T22:00")
    page.get_by_label(re.compile("Planned end")).fill("2026-12-02T02:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("ACME holds this change, through ACME Networks.")).to_be_visible()
    for phase in ("Evaluate", "Plan", "Approve plan"):
        move(page, phase)
    expect(page.get_by_role("link", name="At least one approval in the current round is needed.")).to_be_visible()

    manager = signed_in_page(carol)
    manager.goto(page.url)
    manager.get_by_label("Reason", exact=True).fill("Sound")
    manager.get_by_role("button", name="Approve", exact=True).click()
    expect(manager.get_by_text("You have approved the plan")).to_be_visible()

    page.reload()
    page.get_by_label("Comment", exact=True).fill("The rack keys are at the desk.")
    page.get_by_label("Private").check()
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator(".comment.is-private")).to_contain_text("The rack keys are at the desk.")
    file = Path(tmp_path) / "plan.txt"
    file.write_text("Swap it at night.")
    page.get_by_label("File").set_input_files(file)
    page.get_by_role("button", name="Attach").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="plan.txt").click()
    assert Path(download.value.path()).read_text() == "Swap it at night."

    for phase in ("Deploy", "Validate", "Review"):
        move(page, phase)
    page.get_by_role("link", name="Completion code must be set.").click()
    page.get_by_label("Completion code").select_option("Successful")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("was saved.")).to_be_visible()
    move(page, "Close")
    expect(page.get_by_text("is final: the fields are read-only")).to_be_visible()
    change = Change.objects.get()
    assert (change.phase, Comment.objects.get().author, Attachment.objects.get().author) == ("Close", alice, alice)
    assert Approval.objects.get().author == carol
    operations = [row.operation for row in change.outgoing_operations.order_by("sequence")]
    assert operations == ["Assign", "Update"]


def test_two_people_edit_at_once_and_nothing_is_lost(signed_in_page, alice, carol):
    change = change_in(Phase.PLAN, requested_by=alice)
    first, second = signed_in_page(alice), signed_in_page(carol)
    for page in (first, second):
        page.goto(f"/changes/{change.number}/edit/")
    second.get_by_label("Title").fill("Carol's title")
    second.get_by_label("Risk").select_option("High")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_text("was saved.")).to_be_visible()

    first.get_by_label("Title").fill("Alice's title")
    first.get_by_label("Service").fill("Alice's service")
    first.get_by_role("button", name="Save").click()
    conflict = first.locator(".conflict")
    expect(conflict.get_by_role("alert")).to_contain_text("The record has changed")
    expect(conflict.get_by_role("group", name="Title")).to_contain_text("Carol's title")
    expect(conflict.get_by_role("row", name="Risk")).to_contain_text("Theirs is taken")
    expect(first.get_by_role("textbox", name="Title")).to_have_value("Alice's title")
    expect(first.get_by_label("Risk")).to_have_value("High")
    assert Change.objects.get().title == "Carol's title"
    conflict.get_by_label("Mine").check()
    first.get_by_role("button", name="Save the chosen values").click()
    expect(first.get_by_text("was saved.")).to_be_visible()
    stored = Change.objects.get()
    assert (stored.title, stored.service, stored.risk) == ("Alice's title", "Alice's service", "High")


@pytest.fixture
def stuck(alice, acme):
    """A change whose Assign was refused, with an Update behind it."""
    change = change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)
    Comment(change=change, author=alice, body="Parts ordered").save()
    OutgoingOperation.objects.filter(change=change, operation="Assign").update(
        status="Refused", last_error="refused with 422"
    )
    return change


def test_what_is_stuck_is_retried_and_skipped_by_hand(signed_in_page, ingrid, stuck):
    page = signed_in_page(ingrid)
    page.goto(f"/changes/{stuck.number}/")
    page.locator("#exchange").get_by_role("button", name="Retry now Assign 1 to ACME").click()
    expect(page.get_by_text("Assign 1 to ACME is sent as soon as it is its turn.")).to_be_visible()
    page.locator("#exchange").get_by_role("link", name="Skip… Assign 1 to ACME").click()
    page.get_by_label("Reason").fill("ACME knows it already")
    page.get_by_label("Also skip the 1 waiting behind it").check()
    page.get_by_role("button", name="Skip it for good").click()
    expect(page.get_by_text("was skipped, and 1 that waited behind it.")).to_be_visible()
    assert page.url.endswith(f"/changes/{stuck.number}/")
    assert {row.status for row in OutgoingOperation.objects.all()} == {"Skipped"}


def test_the_list_is_filtered_and_sorted(signed_in_page, alice):
    ChangeFactory(title="Beta")
    ChangeFactory(title="Alpha")
    change_in(Phase.CLOSE, title="Gone")
    page = signed_in_page(alice)
    page.goto("/changes/")
    page.get_by_label("Open only").check()
    expect(page.locator("td.title")).to_have_text(["Alpha", "Beta"])
    page.locator("#list").evaluate("list => { list.dataset.former = '' }")
    with page.expect_response(re.compile("go=1")):
        page.get_by_role("button", name="Show").click()
    expect(page.locator("#list[data-former]")).to_have_count(0)  # a click into what is replaced meanwhile would be lost
    expect(page.locator("td.title")).to_have_text(["Alpha", "Beta"])
    page.get_by_role("columnheader", name="Number").get_by_role("link").click()
    expect(page.locator("td.title")).to_have_text(["Beta", "Alpha"])
    page.get_by_role("columnheader", name="Number").get_by_role("link").click()
    expect(page.locator("td.title")).to_have_text(["Alpha", "Beta"])
    assert "open=true" in page.url


def test_a_circuit_breaker_is_opened_and_closed_on_the_page_of_the_status(signed_in_page, ingrid, acme, beta):
    page = signed_in_page(ingrid)
    page.goto("/exchange/")
    page.get_by_role("link", name="Status").click()
    page.get_by_role("link", name="Pause sending… to ACME").click()
    page.get_by_label("Reason").fill("ACME moves its desk")
    page.get_by_role("button", name="Pause sending").click()
    expect(page.get_by_text("Somebody paused sending to ACME: ACME moves its desk")).to_be_visible()
    assert outbox.claim(1) == []
    page.get_by_role("button", name="Resume sending to ACME").click()
    expect(page.get_by_text("Sending to ACME goes on: what is due is sent now.")).to_be_visible()
    expect(page.get_by_role("row", name="ACME")).to_contain_text("Flowing")


# --- By keyboard alone ---


def tab_to(page: Page, name: str, limit: int = 80) -> None:
    """Presses Tab until the element with this text or label has the focus, which must be visible."""
    for _ in range(limit):
        page.keyboard.press("Tab")
        label = page.evaluate(
            f"""({FOCUSED}.labels?.[0] || {FOCUSED}.querySelector('h2'))?.textContent
            || {FOCUSED}.getAttribute('aria-label') || {FOCUSED}.textContent"""
        )
        if " ".join(label.split()) in (name, f"{name} required"):
            outline = page.evaluate(f"getComputedStyle({FOCUSED}).outlineStyle")
            assert outline != "none", f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"Tab never came to {name}")


def test_the_main_path_by_keyboard_alone(page, alice):
    page.goto("/")
    expect(page.get_by_label("Username")).to_be_focused()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Desk", level=1)).to_be_visible()
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "All open changes")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Changes", level=1)).to_be_visible()
    tab_to(page, "New change")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New change")).to_be_visible()
    expect(page.get_by_label("Title")).to_be_focused()
    page.keyboard.type("By keyboard")
    tab_to(page, "Service")
    page.keyboard.type("x")
    for section, names in {
        "Description": ("Description", "Category"),
        "Why": ("Reason for change", "Justification"),
    }.items():
        tab_to(page, section)
        page.keyboard.press("Enter")
        for name in names:
            tab_to(page, name)
            page.keyboard.type("x")
    tab_to(page, "Create change")
    page.keyboard.press("Enter")
    expect(page.get_by_text("was created.")).to_be_visible()
    tab_to(page, "Move to Evaluate")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is in Evaluate now.")).to_be_visible()
    tab_to(page, "Risk must be set.")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Risk")).to_be_focused()
    page.keyboard.press("L")
    tab_to(page, "Save")
    page.keyboard.press("Enter")
    expect(page.get_by_text("was saved.")).to_be_visible()
    tab_to(page, "Comment")
    page.keyboard.type("Written without a mouse")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Add comment")
    page.keyboard.press("Enter")
    expect(page.locator(".comment.is-private")).to_contain_text("Written without a mouse")
    assert Change.objects.get().phase == "Evaluate"


# --- On every screen and in both themes ---


@pytest.fixture
def everything(alice, carol, acme, beta, stuck):
    """Creates data for every page. Returns the addresses by name."""
    change_in(Phase.BACKOUT, requested_by=alice, owning_group=beta.external_groups.get().group)
    waiting = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    closed = change_in(Phase.CLOSE, requested_by=alice)
    Comment(change=waiting, author=alice, body="Between us", visibility="private").save()
    outbox.open_breaker(acme, "ACME moves its desk (ingrid)")
    incoming = IncomingOperation.objects.create(
        system=acme,
        user=acme.authorized_user,
        operation="Update",
        status="Failed",
        payload={"operation": "Update"},
        body_sha256="0" * 64,
        http_status=409,
        change=stuck,
        error="Normal changes have no transition from Plan to Close.",
    )
    assign = OutgoingOperation.objects.get(change=stuck, operation="Assign")
    return {
        "list": "/changes/",
        "filtered list": "/changes/?phase=Log&priority=Low",
        "filter error": "/changes/?phase=Nowhere",
        "new": "/changes/new/",
        "change that is stuck": f"/changes/{stuck.number}/",
        "change to approve": f"/changes/{waiting.number}/",
        "closed change": f"/changes/{closed.number}/",
        "edit": f"/changes/{stuck.number}/edit/",
        "edit of a closed change": f"/changes/{closed.number}/edit/",
        "log": reverse("exchange:log"),
        "incoming log": "/exchange/?direction=in",
        "outgoing operation": f"/exchange/{assign.pk}/",
        "incoming operation": f"/exchange/{incoming.pk}/",
        "skip": f"/exchange/{assign.pk}/skip/",
        "status": reverse("exchange:status"),
        "open the circuit breaker": reverse("exchange:open_breaker", args=[beta.system_id]),
        "not there": "/changes/CHG9999999/",
    }


@pytest.fixture
def long_words(alice):
    """A change whose words have the maximum length and cannot be broken."""
    system = ExternalSystemFactory(system_id="S" * 100, authorized_user__username="u" * 150)
    group = ExternalGroupFactory(group__name="G" * 200, system=system).group
    texts = dict.fromkeys(("title", "service", "category"), "T" * 200)
    change = change_in(Phase.APPROVE_PLAN, owning_group=group, requested_by=alice, description="D" * 500, **texts)
    Comment(change=change, author=alice, author_name="A" * 200, body="B" * 500).save()
    Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="F" * 251 + ".txt").save()
    ExternalReference.objects.create(change=change, system=system, external_id="E" * 255, external_status="Z" * 200)
    OutgoingOperation.objects.filter(operation="Assign").update(status="Refused", last_error="r" * 500)
    return change


@pytest.mark.parametrize("width", [1280, 800, 375])
def test_long_words_break_rather_than_the_page(signed_in_page, boss, long_words, width):
    page = signed_in_page(boss, viewport={"width": width, "height": 800})
    assign = OutgoingOperation.objects.get(operation="Assign")
    paths = [f"/changes/{long_words.number}/", f"/changes/{long_words.number}/edit/", "/changes/", "/exchange/"]
    wide = []
    outbox.open_breaker(assign.system, "W" * 300)
    paths += [reverse("exchange:status"), reverse("exchange:open_breaker", args=[assign.system.system_id])]
    for path in [*paths, f"/exchange/{assign.pk}/", f"/exchange/{assign.pk}/skip/"]:
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)
    assert wide == []


@pytest.fixture
def boss(db):
    return UserFactory(username="boss", roles=[Role.CHANGE_MANAGER, Role.INTEGRATION_ADMINISTRATOR])


def test_on_a_narrow_screen_the_filters_are_folded_away_until_asked_for(signed_in_page, alice, everything):
    page = signed_in_page(alice, viewport={"width": 375, "height": 800})
    page.goto("/changes/")
    expect(page.get_by_label("Priority")).to_be_hidden()
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("Priority").select_option("Low")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("Filters (1 set)")).to_be_visible()


def test_without_scripts_everything_works(signed_in_page, alice):
    change = change_in(Phase.LOG)
    page = signed_in_page(alice, java_script_enabled=False)
    page.goto(f"/changes/{change.number}/")
    page.get_by_role("button", name="Move to Evaluate").click()
    expect(page.get_by_text("is in Evaluate now.")).to_be_visible()
