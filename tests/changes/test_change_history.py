"""The saves in the activity of a change: each field's old and new value, who, when and from where."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from changes.actor import acting
from changes.choices import Phase
from changes.pages.change.timeline import PAGE_SIZE
from changes.texts import text_diff
from tests.factories import change_in
from tests.pages import text, web


def page_of(user, change, query=""):
    return web(user).get(f"/changes/{change.number}/{query}")


def activity(response):
    return response.content.decode().partition('id="activity"')[2]


def test_history_says_field_old_new_who_and_from_where(alice, carol, acme):
    change = change_in(Phase.PLAN, requested_by=alice)
    group = acme.external_groups.get().group
    with acting(carol):
        change.owning_group, change.risk = group, "High"
        change.save()
    with acting(acme.authorized_user, "ACME"):
        change.planned_end = change.planned_start + timedelta(hours=9)
        change.backout_plan = ""
        change.save()
    said = text(page_of(alice, change))
    assert re.search(
        r"carol edited 2 fields .{16} Risk Low → became High Owning group Network → became ACME Netw", said
    )
    assert re.search(
        r"ACME acting as acme-integration edited 2 fields .{16} Backout plan Put the old one .* empty", said
    )
    before = change.planned_end - timedelta(hours=7)
    assert f"Planned end {before:%Y-%m-%d %H:%M} → became {change.planned_end:%Y-%m-%d %H:%M}" in said
    assert "Created with" in said


def test_the_page_says_since_when_the_group_owns_it(alice, acme):
    change = change_in(Phase.PLAN)
    moment = timezone.now() + timedelta(days=3)
    change._history_date = moment
    change.owning_group = acme.external_groups.get().group
    change.save()
    del change._history_date
    change.risk = "High"
    change.save()
    assert f"ACME Networks has owned this change since {moment:%Y-%m-%d %H:%M}" in text(page_of(alice, change))


def test_a_long_text_is_folded_with_what_differs(alice):
    steps = [f"Step {number}: look at the switch.\n" for number in range(40)]
    change = change_in(Phase.PLAN, implementation_plan="".join(steps))
    steps[20] = "Step 20: look at the router & <b>wait</b>.\n"
    change.implementation_plan = "".join(steps)
    change.save()
    markup = activity(page_of(alice, change))
    assert "Text changed: 3 words added, 1 removed" in markup
    assert "<del>switch.</del>" in markup
    assert "<ins>router &amp; &lt;b&gt;wait&lt;/b&gt;.</ins>" in markup
    assert "[…]" in markup
    assert "Step 5:" not in markup.partition("Created with")[0]


def test_older_saves_are_reached_page_by_page(alice):
    change = change_in(Phase.LOG)
    for number in range(PAGE_SIZE + 3):
        change.service = f"Service number {number}."
        change.save()
    first = activity(page_of(alice, change, "?show=edits"))
    assert f"Service number {PAGE_SIZE + 2}." in first and "Service number 1." not in first
    older = re.search(r'id="older-link" href="[^"?]*([^"#]*)', first)[1].replace("&amp;", "&")
    second = activity(page_of(alice, change, older))
    assert "Service number 1." in second and "Back to the newest" in second


# --- What differs ---


def joined(diff, *kinds):
    return "".join(piece.text for piece in diff.pieces if piece.kind in kinds)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("one two three", "one 2 three"),
        ("a\nb\nc\n", "a\nc\n"),
        ("same", "same"),
        ("x " * 5_000, "y " * 5_000),
        ("line\n" * 3_000, "line\n" * 3_001),
        ("no end of line", "no end of line\n"),
        ("\r\n\u2028", "\n"),
    ],
)
def test_the_pieces_together_are_the_old_and_the_new_text(old, new):
    diff = text_diff.compare(old, new, text_diff.Effort(steps=10**9, characters=10**9))
    assert joined(diff, text_diff.SAME, text_diff.GAP, text_diff.OLD) == old
    assert joined(diff, text_diff.SAME, text_diff.GAP, text_diff.NEW) == new
    assert (diff.added, diff.removed) == (0, 0) or old != new
