"""The page of one change: its path, its transitions, and what is added to it."""

import hashlib
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from changes.actor import acting
from changes.choices import ChangeType, Decision, Phase
from changes.models import Approval, Attachment, Change, Comment
from changes.path import stages
from changes.workflow import TRANSITIONS

from ..factories import ChangeFactory, UserFactory, change_in
from ..pages import text, web


def page_of(user, change, query=""):
    return web(user).get(f"/changes/{change.number}/{query}")


def move(user, change, phase, version=None):
    data = {"phase": phase, "version": change.version if version is None else version}
    return web(user).post(f"/changes/{change.number}/transition/", data, follow=True)


# --- The path ---

ALL = [(kind, phase) for kind in ChangeType for phase in Phase if TRANSITIONS[kind][phase] or phase.is_final]
NOT_THERE = {(ChangeType.STANDARD, Phase.EVALUATE), (ChangeType.STANDARD, Phase.APPROVE_PLAN)}


@pytest.mark.parametrize(("kind", "phase"), [pair for pair in ALL if pair not in NOT_THERE])
def test_each_phase_of_each_type_is_shown_as_the_present_one(carol, kind, phase):
    change = change_in(phase, kind)
    content = page_of(carol, change).content.decode()
    assert content.count('aria-current="step"') == 1
    present = content.partition('aria-current="step"')[2].partition("</li>")[0]
    assert f'<span class="step-name">{phase.value}</span>' in present


def steps(kind, current, visited=()):
    return [
        (step.phase.value, step.state, step.is_side) for stage in stages(kind, current, visited) for step in stage.steps
    ]


def test_the_path_says_what_is_done_now_and_next():
    assert steps("Standard", "Deploy") == [
        ("Log", "done", False),
        ("Plan", "done", False),
        ("Deploy", "now", False),
        ("Validate", "next", False),
        ("Close", "later", False),
    ]


def test_a_backout_is_a_side_path_that_stays_visible_afterwards():
    visited = {"Log", "Plan", "Deploy", "Backout", "Review"}
    assert steps("Standard", "Review", visited) == [
        ("Log", "done", False),
        ("Plan", "done", False),
        ("Deploy", "done", False),
        ("Backout", "done", True),
        ("Review", "now", True),
        ("Close", "next", False),
    ]
    assert [name for name, _, _ in steps("Normal", "Backout", {"Log", "Deploy", "Validate", "Backout"})][-4:] == [
        "Validate",
        "Backout",
        "Review",
        "Close",
    ]


def test_an_abandoned_change_shows_how_far_it_came():
    assert steps("Normal", "Abandon", {"Log", "Evaluate", "Abandon"}) == [
        ("Log", "done", False),
        ("Evaluate", "done", False),
        ("Abandon", "now", True),
    ]


def test_the_steps_are_grouped_by_metaphase():
    names = [(stage.metaphase.value, len(stage.steps)) for stage in stages("Normal", "Log")]
    assert names == [("Classification", 2), ("Planning", 2), ("Deployment", 1), ("Validation", 1), ("Done", 2)]


# --- Transitions ---


def test_a_possible_transition_is_a_button_that_makes_it(alice):
    change = change_in(Phase.LOG)
    assert "Move to Evaluate" in text(page_of(alice, change))
    response = move(alice, change, "Evaluate")
    assert f"{change.number} is in Evaluate now." in text(response)
    assert Change.objects.get().phase == "Evaluate"
    assert Change.objects.get().history.first().history_user == alice


def test_an_impossible_transition_says_every_unmet_condition_with_a_link_to_its_field(alice):
    change = Change(title="Only a title", requested_by=alice)
    change.save()
    content = page_of(alice, change).content.decode()
    for field in ("description", "reason", "justification", "category", "service"):
        assert f'href="/changes/{change.number}/edit/#id_{field}"' in content
    assert "Move to Evaluate</button>" not in content


def test_conditions_about_approvals_lead_to_the_approvals(alice):
    content = page_of(alice, change_in(Phase.APPROVE_PLAN)).content.decode()
    assert '<a href="#approvals">At least one approval in the current round is needed.</a>' in content


def test_a_transition_whose_conditions_are_unmet_is_refused_with_all_of_them(alice):
    change = Change(title="Only a title", requested_by=alice)
    change.save()
    response = move(alice, change, "Evaluate")
    assert response.status_code == 200
    assert "was not moved." in text(response)
    assert "Description must be set. Reason must be set." in text(response)
    assert Change.objects.get().phase == "Log"


@pytest.mark.parametrize("phase", ["Close", "Log", "Nowhere", "", "\x00"])
def test_a_transition_that_does_not_exist_is_refused_in_words(alice, phase):
    change = change_in(Phase.PLAN)
    response = move(alice, change, phase)
    assert response.status_code == 200
    assert "have no transition from Plan" in text(response)
    assert Change.objects.get().phase == "Plan"


@pytest.mark.parametrize("version", ["", "x", "0", "-1", "99999999999999999999999"])
def test_a_transition_without_the_present_version_is_refused(alice, version):
    change = change_in(Phase.LOG)
    assert "It was not moved." in text(move(alice, change, "Evaluate", version))
    assert Change.objects.get().phase == "Log"


def test_a_transition_from_a_page_out_of_date_says_who_changed_what(alice, carol):
    change = change_in(Phase.LOG)
    seen = change.version
    with acting(carol):
        change.risk = "High"
        change.save()
    said = text(move(alice, change, "Evaluate", seen))
    assert "was changed by carol since you opened the page (risk). It was not moved." in said
    assert Change.objects.get().phase == "Log"


def test_an_agent_reads_that_abandoning_needs_a_change_manager_and_a_manager_does_it(alice, carol):
    change = change_in(Phase.PLAN, completion_code="Withdrawn")
    assert "Needs the role Change manager." in text(page_of(alice, change))
    assert move(alice, change, "Abandon").status_code == 403
    assert Change.objects.get().phase == "Plan"
    assert "is in Abandon now" in text(move(carol, change, "Abandon"))


def test_a_final_change_offers_neither_edit_nor_transition_but_comments(alice):
    content = page_of(alice, change_in(Phase.CLOSE)).content.decode()
    assert "is final: the fields are read-only" in content
    assert "/edit/" not in content
    assert "Add comment" in content


def test_a_change_goes_all_the_way_from_the_page(alice, carol):
    change = ChangeFactory(requested_by=alice)
    for phase in ("Evaluate", "Plan", "ApprovePlan"):
        change.refresh_from_db()
        move(alice, change, phase)
    change.refresh_from_db()
    web(carol).post(f"/changes/{change.number}/approvals/", {"decision": "Approved", "version": change.version})
    for phase in ("Deploy", "Validate", "Review"):
        change.refresh_from_db()
        move(alice, change, phase)
    change.refresh_from_db()
    change.completion_code = "Successful"
    change.save()
    move(alice, change, "Close")
    change.refresh_from_db()
    assert change.phase == "Close"


# --- Approvals ---


def decide(user, change, decision="Approved", **data):
    data = {"decision": decision, "version": change.version, "comment": "", **data}
    return web(user).post(f"/changes/{change.number}/approvals/", data, follow=True)


def test_a_change_manager_approves_with_a_reason_that_is_shown(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert "Nobody has decided in this round yet." in text(page_of(carol, change))
    said = text(decide(carol, change, comment="Sound plan"))
    assert f"You have approved the plan of {change.number}." in said
    assert "Approved by carol" in said
    assert "Sound plan" in said
    assert "You have decided in this round already" in said


def test_a_denial_is_shown_and_blocks_the_way(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    said = text(decide(carol, change, "Denied", comment="No backout"))
    assert "Denied by carol" in said
    assert "The plan was denied in the current round: send it back for rework." in said


def test_the_requester_may_not_approve_but_deny(carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=carol)
    content = page_of(carol, change).content.decode()
    assert "You requested this change, so you may not approve it. You may deny it." in content
    assert 'value="Approved"' not in content
    assert "Nobody may approve a change that they requested." in text(decide(carol, change))
    assert not Approval.objects.exists()
    assert "Denied by carol" in text(decide(carol, change, "Denied"))


def test_who_may_not_decide_reads_who_does(alice):
    content = page_of(alice, change_in(Phase.APPROVE_PLAN, requested_by=alice)).content.decode()
    assert "A Change manager approves or denies." in content
    assert 'name="decision"' not in content


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (ChangeType.NORMAL, "A plan is approved or denied while the change is in ApprovePlan."),
        (ChangeType.STANDARD, "A Standard change is pre-approved: it needs no approval."),
    ],
)
def test_outside_approveplan_the_page_says_when_a_plan_is_decided(carol, alice, kind, said):
    change = change_in(Phase.PLAN, kind, requested_by=alice)
    assert said in text(page_of(carol, change))
    assert "a plan is decided in ApprovePlan" in text(decide(carol, change))
    assert not Approval.objects.exists()


def test_a_plan_is_approved_only_as_it_was_read(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    seen = change.version
    with acting(alice):
        change.implementation_plan = "Something else"
        change.save()
    said = text(decide(carol, change, version=seen))
    assert "was changed by alice since you opened the page (implementation plan)" in said
    assert "Your decision was not recorded." in said
    assert not Approval.objects.exists()


def test_rework_shows_the_earlier_round_apart(alice, carol):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    decide(carol, change, "Denied", comment="First try")
    move(alice, change, "Plan")
    change.refresh_from_db()
    move(alice, change, "ApprovePlan")
    said = text(page_of(carol, change))
    assert "round 2" in said
    assert "Earlier rounds (1)" in said
    assert "Nobody has decided in this round yet." in said


@pytest.mark.parametrize("decision", ["", "Perhaps", "approved"])
def test_a_decision_that_does_not_exist_is_refused(alice, carol, decision):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice)
    assert decide(carol, change, decision).status_code == 200
    assert not Approval.objects.exists()


# --- Comments ---


def comment(user, change, body="Parts ordered", visibility="public"):
    return web(user).post(f"/changes/{change.number}/comments/", {"body": body, "visibility": visibility}, follow=True)


def test_a_public_comment_says_beforehand_whom_it_goes_to(alice, acme, beta):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    change.owning_group = beta.external_groups.get().group
    change.save()
    said = text(page_of(alice, change))
    assert "Public is sent to ACME and BETA" in said
    assert "Private stays on this desk; no partner ever sees it" in said


def test_a_partner_that_was_told_cancel_gets_no_comment_and_is_not_named(alice, acme):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    change.completion_code = "Withdrawn"
    change.save()
    assert "no partner is linked to this change now, so nothing is sent" in text(page_of(alice, change))


@pytest.mark.parametrize(("visibility", "updates"), [("public", 1), ("private", 0)])
def test_a_comment_is_added_by_the_person_and_marked(alice, acme, visibility, updates):
    change = change_in(Phase.PLAN, owning_group=acme.external_groups.get().group)
    response = comment(alice, change, "Line one\r\nLine two", visibility)
    stored = Comment.objects.get()
    assert (stored.author, stored.body, stored.visibility) == (alice, "Line one\nLine two", visibility)
    assert stored.source_system is None
    assert f"Your {visibility} comment was added." in text(response)
    assert change.outgoing_operations.filter(operation="Update").count() == updates


@pytest.mark.parametrize(
    ("body", "visibility", "said"),
    [
        ("", "public", "This field is required."),
        ("  \r\n ", "public", "Write something first."),
        ("x" * 100_001, "public", "at most 100000 characters"),
        ("a\x00b", "public", "Null characters are not allowed."),
        ("Hello", "secret", "secret is not one of the available choices."),
        ("Hello", "", "This field is required."),
    ],
)
def test_a_comment_that_cannot_be_added_keeps_what_was_typed(alice, body, visibility, said):
    change = change_in(Phase.PLAN)
    response = comment(alice, change, body, visibility)
    assert response.status_code == 200
    assert said in text(response)
    assert not Comment.objects.exists()
    if body == "Hello":
        assert ">\nHello</textarea>" in response.content.decode()


def test_a_comment_of_a_partner_shows_where_it_came_from(alice, acme):
    change = change_in(Phase.PLAN)
    with acting(acme.authorized_user, "ACME"):
        Comment(change=change, author=acme.authorized_user, author_name="J. Doe", body="Done").save()
    assert "J. Doe from ACME, acting as acme-integration" in text(page_of(alice, change))


def test_only_the_newest_comments_are_shown_until_all_are_asked_for(alice):
    change = change_in(Phase.PLAN)
    for number in range(52):
        Comment(change=change, author=alice, body=f"Comment number {number}.").save()
    said = text(page_of(alice, change))
    assert "Comment number 51." in said
    assert "Comment number 1." not in said
    assert "Show all comments" in said
    assert "Comment number 1." in text(page_of(alice, change, "?show=all"))


# --- Attachments ---


def attach(user, change, file):
    return web(user).post(f"/changes/{change.number}/attachments/", {"file": file}, follow=True)


def test_a_file_is_attached_and_downloaded_unchanged(alice, acme):
    change = change_in(Phase.CLOSE)
    content = b"%PDF-1.7 plan" * 1000
    attach(alice, change, SimpleUploadedFile("plan ü.pdf", content, "application/pdf"))
    stored = Attachment.objects.get()
    assert (stored.author, stored.file_name, stored.content_type) == (alice, "plan ü.pdf", "application/pdf")
    assert (stored.size, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert "plan ü.pdf" in text(page_of(alice, change))
    response = web(alice).get(f"/changes/{change.number}/attachments/{stored.pk}/")
    assert b"".join(response.streaming_content) == content
    assert response["Content-Disposition"].startswith("attachment; filename")
    assert response["Content-Type"] == "application/octet-stream"
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (SimpleUploadedFile("empty.txt", b""), "The file is empty: attach one with content."),
        (SimpleUploadedFile("big.txt", b"x" * 1001), "The file has 1001 bytes; at most 1000 are taken."),
        ("", "Choose a file first."),
    ],
)
def test_a_file_that_cannot_be_attached_says_why(alice, settings, file, said):
    settings.ATTACHMENT_MAX_BYTES = 1000
    change = change_in(Phase.PLAN)
    if file:
        file.seek(0)
    response = attach(alice, change, file)
    assert response.status_code == 200
    assert said in text(response)
    assert not Attachment.objects.exists()


def test_a_file_name_with_folders_names_no_folder(alice):
    change = change_in(Phase.PLAN)
    attach(alice, change, SimpleUploadedFile("../../etc/passwd", b"x"))
    stored = Attachment.objects.get()
    assert stored.file_name == "passwd"
    assert "passwd" not in stored.file.name


@pytest.mark.django_db(transaction=True)  # what fails while it is written takes the whole transaction with it
def test_a_file_whose_record_is_not_kept_leaves_nothing_in_the_storage(alice, monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    change = change_in(Phase.PLAN)
    client = web(alice)
    client.raise_request_exception = False
    monkeypatch.setattr("integrations.outbox.context_of", lambda change: 1 / 0)
    response = client.post(f"/changes/{change.number}/attachments/", {"file": SimpleUploadedFile("a.txt", b"x")})
    assert response.status_code == 500
    assert not Attachment.objects.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_attachment_is_reached_through_its_own_change_and_by_staff_only(alice, acme):
    change, other = change_in(Phase.PLAN), change_in(Phase.PLAN)
    attachment = Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt")
    attachment.save()
    path = f"/changes/{change.number}/attachments/{attachment.pk}/"
    assert web(alice).get(f"/changes/{other.number}/attachments/{attachment.pk}/").status_code == 404
    assert web().get(path).status_code == 302
    assert web(acme.authorized_user).get(path).status_code == 403
    attachment.discard_file()
    response = web(alice).get(path)
    assert response.status_code == 404
    assert "The content of x.txt is missing in the storage." in text(response)


# --- History ---


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
    assert "carol Owning group Network ACME Networks" in said
    assert "carol Risk Low High" in said
    assert "ACME acting as acme-integration Backout plan Put the old one back. empty" in said
    assert (
        f"Planned end {change.planned_end - timedelta(hours=7):%Y-%m-%d %H:%M} {change.planned_end:%Y-%m-%d %H:%M}"
        in said
    )
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


# --- The whole page ---


def grow(change, alice, acme):
    for number in range(10):
        Comment(change=change, author=UserFactory(), body=f"Comment {number}").save()
        Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="x.txt").save()
    for risk in ("High", "Medium", "Low"):
        change = Change.objects.get(pk=change.pk)
        change.risk, change.owning_group = risk, acme.external_groups.get().group
        change.save()


def test_the_page_makes_at_most_twenty_queries_whatever_hangs_on_the_change(alice, carol, acme, beta):
    change = change_in(Phase.APPROVE_PLAN, requested_by=alice, owning_group=beta.external_groups.get().group)
    change.owning_group = acme.external_groups.get().group
    change.save()
    Approval(change=change, author=UserFactory(), decision=Decision.APPROVED).save()
    grow(change, alice, acme)
    client = web(carol)
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"/changes/{change.number}/").status_code == 200
        counts.append(len(queries))
        grow(change, alice, acme)
        Approval(change=change, author=UserFactory(), decision=Decision.APPROVED).save()
    assert counts[0] == counts[1]
    assert counts[0] <= 20


def test_nothing_that_people_typed_is_markup(alice, acme):
    evil = '<script>alert("x")</script>'
    fields = dict.fromkeys(("description", "reason", "justification", "implementation_plan", "backout_plan"), evil)
    change = change_in(Phase.APPROVE_PLAN, title=evil, service=evil, category=evil, requested_by=alice, **fields)
    Comment(change=change, author=alice, author_name=evil, body=evil).save()
    Attachment(change=change, author=alice, file=ContentFile(b"x", name="x"), file_name="<script>.txt").save()
    Approval(change=change, author=UserFactory(), decision=Decision.DENIED, comment=evil).save()
    client = web(alice)
    for path in (f"/changes/{change.number}/", f"/changes/{change.number}/edit/", "/changes/"):
        content = client.get(path).content.decode()
        assert "<script" not in content
        assert "&lt;script&gt;" in content
