"""Reading and writing changes in the administration."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from changes.choices import ChangeType, CompletionCode, Phase
from changes.models import Change, Comment, SupportGroup
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.html_forms import errors, post_form, read_form
from tests.pages import text, web

from .conftest import LIST, page_of

# --- Writing ---


def test_a_change_is_made_with_a_title_alone_and_the_user_as_requester(alice):
    response = post_form(web(alice), f"{LIST}add/", title="New line cards")
    assert response.status_code == 302
    change = Change.objects.get()
    assert (change.title, change.phase, change.requested_by, change.version) == ("New line cards", "Log", alice, 1)
    assert change.history.get().history_user == alice


def test_every_writable_field_is_kept(alice, change):
    servers = SupportGroupFactory(name="Servers")
    typed = {
        "title": "Other title",
        "description": "Line one\r\nline two",
        "change_type": "Standard",
        "category": "Server",
        "service": "Mail",
        "reason": "Because",
        "justification": "It pays",
        "risk": "High",
        "business_impact": "Enterprise",
        "urgency": "TotalLossOfService",
        "requested_by": str(UserFactory(username="bob").pk),
        "owning_group": str(servers.pk),
        "implementation_plan": "Do it",
        "backout_plan": "Undo it",
        "planned_start": "2026-12-01T10:00",
        "planned_end": "2026-12-01T11:30",
        "actual_start": "2026-12-01T10:05",
        "actual_end": "2026-12-01T11:00",
        "completion_code": "Failed",
    }
    assert post_form(web(alice), page_of(change), **typed).status_code == 302
    change.refresh_from_db()
    assert change.description == "Line one\nline two"
    assert change.owning_group == servers
    assert change.requested_by.get_username() == "bob"
    assert change.planned_end.isoformat() == "2026-12-01T11:30:00+00:00"
    assert (change.priority, change.version) == ("Critical", 2)
    assert change.history.first().history_user == alice


def test_saving_without_an_edit_changes_nothing(alice):
    change = change_in(Phase.DEPLOY, description="One\ntwo")
    assert change.actual_start.microsecond or change.planned_start.microsecond
    before = change.history.count()
    assert post_form(web(alice), page_of(change)).status_code == 302
    assert Change.objects.get().version == change.version
    assert change.history.count() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phase", "Deploy"),
        ("priority", "Critical"),
        ("version", "9"),
        ("number", "CHG0009999"),
        ("approval_round", "3"),
        ("created_at", "2020-01-01"),
        ("metaphase", "Done"),
    ],
)
def test_what_the_record_keeps_itself_cannot_be_posted(root, change, field, value):
    client = web(root)
    page = client.get(page_of(change))
    form = read_form(page, "title")
    assert field not in form["names"]
    client.post(page_of(change), {**form["fields"], field: value})
    after = Change.objects.get()
    assert (after.phase, after.priority, after.version, after.number, after.approval_round) == (
        change.phase,
        change.priority,
        change.version,
        change.number,
        change.approval_round,
    )


@pytest.mark.parametrize(
    ("typed", "field", "expected"),
    [
        ({"title": ""}, "title", "required"),
        ({"title": "x" * 201}, "title", "200"),
        ({"title": "a\x00b"}, "title", "Null characters"),
        ({"description": "x" * 100_001}, "description", "100000"),
        (
            {"planned_start": "2026-12-02T10:00", "planned_end": "2026-12-01T10:00"},
            "planned_end",
            "after planned start",
        ),
        ({"actual_start": "2026-12-02T10:00", "actual_end": "2026-12-01T10:00"}, "actual_end", "before actual start"),
        ({"planned_start": "2026-02-30T10:00"}, "planned_start", "valid date"),
        ({"risk": "Enormous"}, "risk", "valid choice"),
        ({"owning_group": "999999"}, "owning_group", "valid choice"),
    ],
)
def test_an_invalid_value_is_an_error_at_its_field_and_nothing_is_saved(alice, change, typed, field, expected):
    response = post_form(web(alice), page_of(change), **typed)
    assert response.status_code == 200
    assert expected in " ".join(errors(response)[field])
    assert Change.objects.get().version == 1
    assert change.history.count() == 1


def test_a_stale_save_is_refused_with_what_the_other_person_changed(alice, carol, change):
    client = web(alice)
    opened = client.get(page_of(change))
    servers = SupportGroupFactory(name="Servers")
    post_form(web(carol), page_of(change), title="Carol's title", owning_group=str(servers.pk))

    response = post_form(client, page_of(change), page=opened, title="Alice's title", description="Alice's text")
    assert response.status_code == 200
    shown = " ".join(errors(response)["__all__"])
    assert "was changed by somebody else since you read it" in shown
    assert "Title was changed from “Replace core switch” to “Carol's title” by carol." in shown
    assert "Owning group was changed from “Network” to “Servers” by carol." in shown
    assert "Alice&#x27;s text" in response.content.decode(), "what was typed stays on the page"
    after = Change.objects.get()
    assert (after.title, after.description, after.version) == ("Carol's title", change.description, 2)


def test_a_stale_page_adds_no_comment_either(alice, carol, change):
    client = web(alice)
    opened = client.get(page_of(change))
    post_form(web(carol), page_of(change), title="Carol's title")
    response = post_form(client, page_of(change), page=opened, **{"comments-0-body": "Hello"})
    assert response.status_code == 200
    assert not Comment.objects.exists()


def test_a_page_without_the_version_it_was_opened_at_is_refused(alice, change):
    response = post_form(web(alice), page_of(change), opened_version=None, title="Other")
    assert "opened_version" in errors(response)
    assert Change.objects.get().title == change.title


def test_the_type_and_the_requester_are_fixed_once_the_change_left_log(alice):
    change = change_in(Phase.PLAN)
    form = read_form(web(alice).get(page_of(change)), "title")
    assert not {"change_type", "requested_by"} & form["names"]
    data = {**form["fields"], "change_type": "Emergency", "requested_by": str(alice.pk + 1)}
    web(alice).post(page_of(change), data)
    after = Change.objects.get()
    assert (after.change_type, after.requested_by_id, after.version) == (
        ChangeType.NORMAL,
        change.requested_by_id,
        change.version,
    )


@pytest.mark.parametrize("phase", [Phase.CLOSE, Phase.ABANDON])
def test_in_a_final_phase_the_fields_are_read_only_and_a_comment_can_still_be_added(alice, phase):
    change = change_in(phase)
    client = web(alice)
    form = read_form(client.get(page_of(change)), "opened_version")
    assert not {"title", "owning_group", "completion_code"} & form["names"]
    response = client.post(page_of(change), {**form["fields"], "title": "Other", "completion_code": "Failed"})
    assert response.status_code == 302
    after = Change.objects.get()
    assert (after.title, after.completion_code, after.version) == (change.title, change.completion_code, change.version)
    assert post_form(client, page_of(change), **{"comments-0-body": "It held."}).status_code == 302
    assert change.comments.get().body == "It held."


def test_an_edit_of_a_change_that_was_closed_meanwhile_is_refused(alice, carol):
    change = change_in(Phase.REVIEW)
    client = web(alice)
    opened = client.get(page_of(change))
    change.completion_code = CompletionCode.SUCCESSFUL
    change.move_to(Phase.CLOSE)
    change.save()
    data = {**read_form(opened, "title")["fields"], "title": "Too late"}
    response = client.post(page_of(change), data)
    assert response.status_code == 200
    assert "was changed from “Review” to “Close” by" in " ".join(errors(response)["__all__"])
    assert Change.objects.get().title == change.title


def test_nobody_deletes_a_change_not_even_a_superuser(root, change):
    client = web(root)
    assert client.get(f"{LIST}{change.pk}/delete/").status_code == 403
    assert client.post(f"{LIST}{change.pk}/delete/", {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": [str(change.pk)], "post": "yes"})
    assert Change.objects.filter(pk=change.pk).exists()
    assert "delete_selected" not in client.get(LIST).content.decode()


# --- Looking ---


def test_the_history_shows_every_save_with_old_and_new_values(alice, carol, change):
    servers = SupportGroupFactory(name="Servers")
    post_form(web(carol), page_of(change), title="Carol's title", owning_group=str(servers.pk))
    shown = text(web(alice).get(f"{LIST}{change.pk}/history/"))
    assert "carol" in shown
    assert "Replace core switch" in shown
    assert "Carol's title" in shown
    assert "Network Servers" in shown


def test_the_history_cannot_be_turned_back(root, change):
    response = web(root).post(f"{LIST}{change.pk}/history/", {"title": "Back"})
    assert response.status_code == 200
    record = change.history.get()
    assert web(root).get(f"{LIST}{change.pk}/history/{record.pk}/").status_code in {302, 404}
    assert Change.objects.get().version == 1


def test_an_unknown_change_leads_back_with_a_message(alice):
    for address in ("change", "history"):
        response = web(alice).get(f"{LIST}999999/{address}/", follow=True)
        assert "doesn’t exist" in text(response)


def test_the_list_is_found_by_number_and_filtered_by_phase(alice, change):
    other = change_in(Phase.PLAN, title="Other work")
    client = web(alice)
    assert "Other work" not in text(client.get(LIST, {"q": change.number}))
    assert "Other work" in text(client.get(LIST, {"phase__exact": "Plan"}))
    assert change.title not in text(client.get(LIST, {"phase__exact": "Plan"}))
    assert other.number in text(client.get(LIST))


def test_the_list_and_the_page_take_the_same_number_of_queries_for_few_and_for_many(
    alice, change, django_assert_max_num_queries
):
    client = web(alice)
    client.get(LIST)
    with django_assert_max_num_queries(100) as few:
        client.get(LIST)
        client.get(page_of(change))
    for number in range(10):
        person = UserFactory(username=f"person{number}")
        ChangeFactory(requested_by=person, owning_group=SupportGroupFactory(name=f"Team {number}"))
        Comment(change=change, author=person, body="Hello").save()
    with django_assert_max_num_queries(len(few)):
        client.get(LIST)
        client.get(page_of(change))


def test_the_admin_log_names_the_fields_that_were_edited(alice, change):
    post_form(web(alice), page_of(change), title="Other", planned_end=_in(3))
    entry = LogEntry.objects.get()
    assert entry.user == alice
    assert "Title and Planned end" in entry.get_change_message()


def _in(days):
    return f"{timezone.now() + timedelta(days=days):%Y-%m-%dT%H:%M}"


# --- Support groups ---


def test_a_support_group_gets_members(ingrid, alice, carol):
    group = SupportGroupFactory(name="Network")
    address = f"/admin/changes/supportgroup/{group.pk}/change/"
    assert post_form(web(ingrid), address, members=[str(alice.pk), str(carol.pk)]).status_code == 302
    assert {*group.members.all()} == {alice, carol}
    assert "alice, carol" in text(web(ingrid).get("/admin/changes/supportgroup/"))


def test_a_group_that_owns_changes_cannot_be_deleted(root, change):
    group = change.owning_group
    client = web(root)
    response = client.post(f"/admin/changes/supportgroup/{group.pk}/delete/", {"post": "yes"})
    assert response.status_code == 200
    assert "Change: 1" in text(response)
    assert SupportGroup.objects.filter(pk=group.pk).exists()
