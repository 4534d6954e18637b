"""Comments and files on the page of a change, in a real browser: Markdown, previews, dropping, progress, cancelling."""

import re
import struct
import zlib

import pytest
from django.core.files.base import ContentFile
from playwright.sync_api import expect

from changes.choices import Phase
from changes.models import Attachment, Comment
from tests.barriers import barriers
from tests.factories import change_in

MARKDOWN = """# Outage
Swap **tonight**, see https://example.com/plan and `show interface`.

| Port | State | What is plugged into it at present, in many words |
|---|---:|---|
| 1 | up | backbone_of_the_northern_data_centre_with_a_very_long_name |

```
interface TenGigabitEthernet1/0/1 description backbone-of-the-northern-data-centre-with-a-very-long-name
```
"""


@pytest.fixture
def change(alice, acme):
    return change_in(Phase.PLAN, requested_by=alice, owning_group=acme.external_groups.get().group)


def png(width=320, height=200):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\x0b\x64\x75" * width for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def attached(change, author, name, content):
    made = Attachment(change=change, author=author, file=ContentFile(content, name=name), file_name=name)
    made.save()
    return made


def files(page, *named):
    """The files of a drag from the desktop."""
    return page.evaluate_handle(
        """(named) => {
          const transfer = new DataTransfer();
          for (const [name, text] of named) transfer.items.add(new File([text], name));
          return transfer;
        }""",
        [list(pair) for pair in named],
    )


def drop(page, *named):
    page.dispatch_event(".drop-zone", "drop", {"dataTransfer": files(page, *named)})


def line(page, name):
    return page.locator(".upload", has_text=name)


@pytest.mark.parametrize("has_script", [True, False])
def test_a_comment_is_previewed_then_added(signed_in_page, alice, change, has_script):
    page = signed_in_page(alice, java_script_enabled=has_script)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("Swap **tonight**")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#comment-preview strong", has_text="tonight")).to_be_visible()
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Swap **tonight**")
    assert page.url.endswith(f"/changes/{change.number}/") == has_script
    goes = page.locator(".comment-form .goes-public")
    expect(goes).to_contain_text("Update to ACME")
    page.get_by_label(re.compile("Private stays here")).check()
    expect(page.get_by_text("Stays here, never sent.")).to_be_visible()
    expect(goes).to_be_hidden()
    page.get_by_role("button", name="Add comment").click()
    expect(page.locator(".comment.is-private strong", has_text="tonight")).to_be_visible()
    assert Comment.objects.get().visibility == "private"


def test_ctrl_enter_adds_the_comment_once(signed_in_page, alice, change):
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("By keyboard")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".comment", has_text="By keyboard")).to_be_visible()
    assert Comment.objects.count() == 1


def test_files_are_dropped_and_each_shows_how_it_ended(signed_in_page, alice, change, settings):
    settings.ATTACHMENT_MAX_BYTES = 1000
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill("Being typed")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    drop(page, ("good.txt", "x"), ("big.txt", "x" * 1001), ("empty.txt", ""), ("second.txt", "y"))
    expect(line(page, "good.txt")).to_contain_text("Attached")
    expect(line(page, "second.txt")).to_contain_text("Attached")
    expect(page.locator("#timeline")).to_contain_text("good.txt")
    expect(line(page, "big.txt")).to_contain_text("Too large, not attached")
    expect(line(page, "empty.txt")).to_contain_text("Empty, not attached")
    assert len(asked) == 2
    assert [*Attachment.objects.values_list("file_name", flat=True)] == ["good.txt", "second.txt"]
    expect(page.get_by_label("Comment", exact=True)).to_have_value("Being typed")


def test_a_file_that_is_being_sent_can_be_cancelled_and_the_next_goes_on(signed_in_page, alice, change):
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    held = []
    page.route("**/attachments/", lambda route: route.continue_() if held else held.append(route))
    drop(page, ("first.txt", "x"), ("second.txt", "y"), ("third.txt", "z"))
    expect(line(page, "first.txt").get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel second.txt").click()
    expect(line(page, "second.txt")).to_contain_text("Cancelled, not attached")
    page.get_by_role("button", name="Cancel first.txt").click()
    expect(line(page, "first.txt")).to_contain_text("Cancelled, not attached")
    expect(line(page, "third.txt")).to_contain_text("Attached")
    assert [*Attachment.objects.values_list("file_name", flat=True)] == ["third.txt"]


def test_what_the_server_refuses_or_a_broken_connection_is_said_beside_the_file(signed_in_page, alice, change):
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    page.route("**/attachments/", lambda route: route.abort())
    drop(page, ("broken.txt", "x"))
    expect(line(page, "broken.txt")).to_contain_text("Connection lost")
    page.unroute("**/attachments/")
    page.context.clear_cookies(name="sessionid")
    drop(page, ("late.txt", "x"))
    expect(line(page, "late.txt")).to_contain_text("You are signed out")
    assert not Attachment.objects.exists()


def test_files_are_chosen_by_keyboard_and_sent_with_their_progress(signed_in_page, alice, change, tmp_path):
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    (tmp_path / "a.txt").write_text("a")
    page.get_by_label("Files").set_input_files([tmp_path / "a.txt"])
    page.get_by_label("Files").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(line(page, "a.txt")).to_contain_text("Attached")
    assert Attachment.objects.count() == 1


def test_without_script_several_files_are_attached_by_the_form(signed_in_page, alice, change, tmp_path):
    page = signed_in_page(alice, java_script_enabled=False)
    page.goto(f"/changes/{change.number}/")
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    page.get_by_text("Attach files").click()
    page.get_by_label("Files").set_input_files([tmp_path / "a.txt", tmp_path / "b.txt"])
    page.get_by_role("button", name="Attach", exact=True).click()
    expect(page.get_by_text("a.txt was attached.")).to_be_visible()
    expect(page.get_by_text("b.txt was attached.")).to_be_visible()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_name_with_a_quotation_mark_is_kept_or_refused(signed_in_page, alice, change, has_script):
    page = signed_in_page(alice, java_script_enabled=has_script)
    page.goto(f"/changes/{change.number}/")
    page.get_by_text("Attach files").click()
    file = {"name": 'a "b" 100%22.txt', "mimeType": "text/plain", "buffer": b"x"}
    for said in ("Attached", "Attached already"):
        page.get_by_label("Files").set_input_files([file])
        page.get_by_role("button", name="Attach", exact=True).click()
        if not has_script:
            expect(page.get_by_text("A browser may have altered the file name")).to_be_visible()
            assert not Attachment.objects.exists()
            return
        expect(page.locator(".upload-state").last).to_have_text(said)
    assert Attachment.objects.get().file_name == file["name"]


def test_an_image_is_seen_and_a_pdf_is_loaded_only_when_it_is_opened(signed_in_page, alice, change):
    attached(change, alice, "rack.png", png())
    plan = attached(change, alice, "plan.pdf", b"%PDF-1.4\n%%EOF\n")
    page = signed_in_page(alice)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/changes/{change.number}/")
    image = page.get_by_role("img", name="Preview of rack.png")
    image.scroll_into_view_if_needed()
    page.wait_for_function("(image) => image.complete && image.naturalWidth === 320", arg=image.element_handle())
    address = f"/attachments/{plan.pk}/preview/"
    page.locator(f"#attachment-{plan.pk}").scroll_into_view_if_needed()
    assert not [url for url in asked if url.endswith(address)]
    with page.expect_request(lambda request: request.url.endswith(address)):
        page.locator(f"#attachment-{plan.pk} summary").click()
    expect(page.get_by_title("Preview of plan.pdf")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rendered_comments_are_accessible_and_fit_a_narrow_screen(signed_in_page, alice, change, scheme):
    Comment(change=change, author=alice, body=MARKDOWN).save()
    Comment(change=change, author=alice, body=MARKDOWN, visibility="private").save()
    attached(change, alice, "rack.png", png())
    page = signed_in_page(alice, color_scheme=scheme, viewport={"width": 375, "height": 800})
    page.goto(f"/changes/{change.number}/")
    page.get_by_label("Comment", exact=True).fill(MARKDOWN)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#comment-preview table")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert barriers(page, within="#activity") == []


@pytest.mark.django_db(transaction=True)
def test_who_gets_a_comment_alters_under_the_hands_of_who_types_it(signed_in_page, alice, acme):
    internal = change_in(Phase.PLAN, requested_by=alice)
    page = signed_in_page(alice)
    page.clock.install()
    page.goto(f"/changes/{internal.number}/")
    body = page.locator("#comment-form textarea")
    body.focus()
    page.keyboard.type("Only for us")
    expect(page.locator("#comment-reaches")).to_contain_text("nothing is sent")
    internal.owning_group = acme.external_groups.get().group
    internal.save()
    page.clock.run_for(9_000)  # it asks every 8 seconds
    expect(page.locator("#comment-reaches")).to_contain_text("is sent to ACME")
    for part in ("#comment-sends", "#file-sends"):
        expect(page.locator(part)).to_contain_text("to ACME")
    for part in ("#comment-recipients", "#file-recipients"):
        expect(page.locator(part)).to_have_value("ACME")
    expect(body).to_be_focused()
    expect(body).to_have_value("Only for us")


@pytest.mark.django_db(transaction=True)
def test_a_file_that_would_reach_somebody_new_is_asked_about_and_goes_the_second_time(signed_in_page, alice, acme):
    internal = change_in(Phase.PLAN, requested_by=alice)
    page = signed_in_page(alice)
    page.goto(f"/changes/{internal.number}/")
    page.evaluate("document.getElementById('file-recipients').value = ''")
    internal.owning_group = acme.external_groups.get().group
    internal.save()
    drop(page, ("plan.txt", "x"))
    expect(line(page, "plan.txt")).to_contain_text("It would now be sent to ACME")
    assert not Attachment.objects.exists()
    expect(page.locator("#file-recipients")).to_have_value("ACME")
    drop(page, ("plan.txt", "x"))
    expect(line(page, "plan.txt").last).to_contain_text("Attached")
    assert Attachment.objects.get().file_name == "plan.txt"


@pytest.mark.django_db(transaction=True)
def test_all_of_a_long_comment_is_shown_in_its_place(signed_in_page, alice, change):
    Comment(change=change, author=alice, body="word " * 2000 + "the end", visibility="private").save()
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    article = page.locator("article.comment")
    expect(article).not_to_contain_text("the end")
    page.locator("a.show-all").click()
    expect(article).to_contain_text("the end")
    expect(article).to_be_focused()
    expect(page.locator("#timeline")).to_have_attribute("data-extended", "yes")
    assert page.url.endswith(f"/changes/{change.number}/")


def test_a_right_to_left_text_reads_right_and_turns_nothing_around(signed_in_page, alice, change):
    Comment(change=change, author=alice, body="שלום עולם.\n\n- פריט\n\nLatin again.", author_name="דנה").save()
    page = signed_in_page(alice)
    page.goto(f"/changes/{change.number}/")
    comment = page.locator(".comment")
    sides = [
        comment.locator(part).evaluate("part => getComputedStyle(part).direction")
        for part in (".written p >> nth=0", ".written li", ".written p >> nth=-1", ".comment-head")
    ]
    assert sides == ["rtl", "rtl", "ltr", "ltr"]
    assert comment.locator(".comment-head bdi").inner_text() == "דנה"
