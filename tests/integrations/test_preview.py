"""The forecast before a save, a comment or an attachment equals the operations that are then recorded."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changes.choices import CompletionCode, Phase
from changes.models import Attachment, Change, Comment, SupportGroup
from integrations.models import OutgoingOperation
from integrations.outgoing.preview import Reading, draft_of
from tests.examples import examples
from tests.factories import ChangeFactory, ExternalGroupFactory, ExternalSystemFactory, SupportGroupFactory, change_in

GROUPS = {
    "Network": None,
    "Servers": None,
    "ACME Networks": "ACME",
    "ACME Servers": "ACME",
    "BETA Servers": "BETA",
    "GAMMA Software": "GAMMA",
}
# These values exist only after the save.
GIVEN_LATER = {
    "change": ("number", "created_at", "updated_at"),
    "comment": ("id", "created_at"),
    "attachment": ("id", "url"),
}

systems = st.sampled_from(["ACME", "BETA", "GAMMA"])
values = st.fixed_dictionaries(
    {
        "owning_group": st.sampled_from([None, *GROUPS]),
        "completion_code": st.sampled_from([None, "Withdrawn", "Failed"]),
    },
    optional={
        "title": st.text("abc", min_size=1),
        "risk": st.sampled_from([None, "High"]),
        "urgency": st.just("NoDisruption"),
    },
)
steps = st.one_of(
    st.tuples(st.just("save"), values),
    st.tuples(st.just("comment"), st.sampled_from(["public", "private"])),
    st.tuples(st.just("attach"), st.just("plan.txt")),
    st.tuples(st.just("partner names its record"), systems),
    st.tuples(st.just("partner rejects"), systems),
)


@pytest.fixture
def desk(alice, partner_api):
    """Three partners with their groups and API clients."""
    for name, system_id in GROUPS.items():
        group = SupportGroupFactory(name=name)
        if system_id:
            ExternalGroupFactory(group=group, system=ExternalSystemFactory(system_id=system_id))
    partners = {name: partner_api(ExternalSystemFactory(system_id=name)) for name in ("ACME", "BETA", "GAMMA")}
    return SimpleNamespace(user=alice, partners=partners, numbers=itertools.count())


def with_group(values):
    name = values.get("owning_group")
    return values | {"owning_group": SupportGroup.objects.get(name=name) if name else None}


def known(payload):
    """The payload without the values that exist only after the save."""
    return {
        name: {key: value for key, value in part.items() if key not in GIVEN_LATER.get(name, ())} if part else part
        for name, part in payload.items()
    }


def foretold(preview):
    return [(planned.operation, planned.system_id, known(planned.payload)) for planned in preview.planned]


def recorded(before):
    rows = OutgoingOperation.objects.exclude(pk__in=before).select_related("system").order_by("id")
    return [(row.operation, row.system.system_id, known(row.whole_payload)) for row in rows]


def do(desk, change, kind, what):
    """Forecasts a step, does it, and returns the forecast and the recorded operations."""
    before = list(OutgoingOperation.objects.values_list("pk", flat=True))
    stored = Change.objects.with_people().get(pk=change.pk)
    if kind == "save":
        draft = draft_of(stored, **with_group(what))
        preview = foretold(Reading([stored], [draft.owning_group_id]).of_save(stored, draft))
        draft.save()
        return preview, recorded(before)
    if kind == "comment":
        comment = Comment(change=stored, author=desk.user, body="Hello", visibility=what)
        preview = foretold(Reading([stored]).of_comment(stored, comment))
        comment.save()
        return preview, recorded(before)
    if kind == "attach":
        attachment = Attachment(change=stored, author=desk.user, file=ContentFile(b"x", "x"), file_name=what, size=1)
        attachment.sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        preview = foretold(Reading([stored]).of_attachment(stored, attachment))
        attachment.save()
        return preview, recorded(before)
    body = {"system_id": what, "operation": "Reject", "change_number": stored.number}
    if kind == "partner names its record":
        body |= {"operation": "Update", "external_id": f"{what}-{stored.pk}"}
    desk.partners[what].post("/api/v1/operations/", body, format="json")
    return [], []


@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    print_blob=True,
)
@given(created=values, then=st.lists(steps, min_size=1, max_size=12))
def test_what_is_foretold_is_what_is_recorded(desk, created, then):
    with transaction.atomic():
        new = Change(requested_by=desk.user, **({"title": "New"} | with_group(created)))
        preview = foretold(Reading([new]).of_save(None, new))
        new.save()
        assert preview == recorded([])
        for kind, what in then:
            said, came = do(desk, new, kind, what)
            assert said == came, (kind, what)
        transaction.set_rollback(True)


def test_many_changes_are_foretold_with_three_queries(desk, django_assert_num_queries):
    for place, name in enumerate(["Network", "ACME Networks", "BETA Servers", "ACME Servers"] * 3):
        change = ChangeFactory(owning_group=SupportGroup.objects.get(name=name))
        if place % 2:
            change.completion_code = CompletionCode.WITHDRAWN
            change.save()
    stored = list(Change.objects.with_people().order_by("id"))
    target = SupportGroup.objects.get(name="GAMMA Software")
    with django_assert_num_queries(3):
        reading = Reading(stored, [target.pk])
        reassigned = [reading.of_save(change, draft_of(change, owning_group=target)) for change in stored]
        commented = [
            reading.of_comment(change, Comment(change=change, author=desk.user, body="Hi")) for change in stored
        ]
        withdrawn = [
            reading.of_save(change, draft_of(change, completion_code="Withdrawn", phase="Abandon")) for change in stored
        ]
    assert reassigned[0].operations == [("Assign", "GAMMA")]
    assert reassigned[2].operations == [("Accept", "BETA"), ("Assign", "GAMMA")]
    assert (commented[0].operations, commented[2].operations) == ([], [("Update", "BETA")])
    assert (withdrawn[2].operations, withdrawn[3].operations) == ([("Cancel", "BETA")], [])
    assert [silent.why for silent in withdrawn[3].silent] == [
        "ACME already got a Cancel, and gets nothing more until the change is given to it again."
    ]


def test_a_draft_leaves_the_change_as_it_is_and_nothing_is_written(desk):
    change = change_in(Phase.PLAN)
    draft = draft_of(change, title="Another", phase="ApprovePlan")
    Reading([change]).of_save(change, draft)
    assert (draft.title, draft.phase, change.title, change.phase) == (
        "Another",
        "ApprovePlan",
        "Replace core switch",
        "Plan",
    )
    assert Change.objects.get().version == change.version
    assert not OutgoingOperation.objects.exists()


def test_a_group_that_was_not_read_is_an_error_and_not_a_silent_partner(desk):
    change = ChangeFactory()
    draft = draft_of(change, owning_group=SupportGroup.objects.get(name="ACME Networks"))
    with pytest.raises(LookupError):
        Reading([change]).of_save(change, draft)
