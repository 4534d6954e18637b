"""Creating and editing on the page, and two people who edit at once."""

from datetime import UTC, datetime

import pytest

from changes.actor import acting
from changes.choices import Phase
from changes.models import Change
from tests.factories import ChangeFactory, SupportGroupFactory, UserFactory, change_in
from tests.pages import posted, text, web
from tests.rows import each_row

EVERYTHING = {
    "title": "Replace core switch",
    "change_type": "Emergency",
    "category": "Network",
    "service": "LAN",
    "description": "Line one\r\nLine two",
    "reason": "End of support",
    "justification": "No spare parts",
    "business_impact": "Enterprise",
    "urgency": "SevereDisruption",
    "risk": "High",
    "implementation_plan": "Swap it",
    "backout_plan": "Swap back",
    "planned_start": "2026-12-01T22:00",
    "planned_end": "2026-12-02T02:00",
    "actual_start": "2026-12-01T22:05",
    "actual_end": "2026-12-02T01:10",
    "completion_code": "Successful",
}


def create(user, **fields):
    data = {"change_type": "Normal", "business_impact": "SingleUser", "urgency": "SlightDisruption", **fields}
    return web(user).post("/changes/new/", data)


def edit(user, change, follow=True, **fields):
    return web(user).post(f"/changes/{change.number}/edit/", posted(change, **fields), follow=follow)


# --- Creating ---


def test_a_title_is_enough_and_the_rest_has_its_defaults(alice):
    assert "selected>alice" in web(alice).get("/changes/new/").content.decode()
    response = create(alice, title="Only a title", requested_by=alice.pk)
    change = Change.objects.get()
    assert response["Location"] == f"/changes/{change.number}/"
    assert (change.phase, change.requested_by, change.priority) == ("Log", alice, "Low")
    assert (change.business_impact, change.urgency) == ("SingleUser", "SlightDisruption")
    assert change.history.get().history_user == alice


def test_every_writable_field_is_on_the_form(alice, carol):
    group = SupportGroupFactory(name="Network")
    create(alice, **EVERYTHING, owning_group=group.pk, requested_by=carol.pk)
    change = Change.objects.get()
    assert change.description == "Line one\nLine two"
    assert (change.change_type, change.risk, change.priority) == ("Emergency", "High", "High")
    assert (change.owning_group, change.requested_by, change.completion_code) == (group, carol, "Successful")
    assert change.planned_start == datetime(2026, 12, 1, 22, 0, tzinfo=UTC)
    assert change.actual_end == datetime(2026, 12, 2, 1, 10, tzinfo=UTC)


def test_times_are_those_of_the_current_time_zone(alice):
    client = web(alice)
    client.cookies["timezone"] = "Europe/Vienna"
    data = {"change_type": "Normal", "business_impact": "SingleUser", "urgency": "SlightDisruption"}
    client.post("/changes/new/", data | {"title": "At night", "planned_start": "2026-12-01T22:00"})
    change = Change.objects.get()
    assert change.planned_start == datetime(2026, 12, 1, 21, 0, tzinfo=UTC)
    content = client.get(f"/changes/{change.number}/edit/").content.decode()
    assert 'value="2026-12-01T22:00"' in content


@each_row(
    ("fields", "field", "said"),
    [
        ({"title": ""}, "title", "Give the change a title."),
        ({"title": "   "}, "title", "Give the change a title."),
        ({"title": "x" * 201}, "title", "at most 200 characters"),
        ({"title": "a\x00b"}, "title", "Null characters are not allowed."),
        ({"description": "x" * 100_001}, "description", "at most 100000 characters"),
        ({"service": "x" * 201}, "service", "at most 200 characters"),
        ({"change_type": "Urgent"}, "change_type", "Urgent is not one of the available choices."),
        ({"risk": "Huge"}, "risk", "Huge is not one of the available choices."),
        ({"completion_code": "Done"}, "completion_code", "Done is not one of the available choices."),
        ({"owning_group": "999999"}, "owning_group", "not one of the available choices."),
        ({"requested_by": "999999"}, "requested_by", "not one of the available choices."),
        ({"planned_start": "2026-02-30T10:00"}, "planned_start", "Enter a valid date/time, as in 2026-12-01 22:00."),
        ({"planned_start": "tomorrow"}, "planned_start", "Enter a valid date/time, as in 2026-12-01 22:00."),
        (
            {"planned_start": "2026-12-02T10:00", "planned_end": "2026-12-01T10:00"},
            "planned_end",
            "Planned end must be after planned start.",
        ),
        (
            {"actual_start": "2026-12-02T10:00", "actual_end": "2026-12-01T10:00"},
            "actual_end",
            "Actual end must not be before actual start.",
        ),
    ],
)
def test_an_invalid_field_is_said_at_the_top_and_beside_it_and_nothing_is_created(alice, fields, field, said):
    response = create(alice, **{"title": "A title", **fields})
    assert response.status_code == 200
    content = response.content.decode()
    assert "Not saved: correct this first" in content
    assert f'href="#id_{field}"' in content
    beside = content.partition(f'id="id_{field}_error"')[2].partition("</p>")[0]
    assert said in beside
    assert said in content.partition('id="errors"')[2].partition("</ul>")[0]
    assert not Change.objects.exists()


def test_all_errors_are_said_at_once_and_each_only_once(alice):
    times = {"planned_start": "2026-12-02T10:00", "planned_end": "2026-12-01T10:00"}
    times |= {"actual_start": "2026-12-02T10:00", "actual_end": "2026-12-01T10:00"}
    content = create(alice, title="", risk="Huge", **times).content.decode()
    summary = content.partition('id="errors"')[2].partition("</ul>")[0]
    assert summary.count("<li>") == 4
    assert "Constraint" not in content


# --- Editing ---


def test_an_edit_is_saved_with_who_did_it(alice):
    change = change_in(Phase.PLAN)
    said = text(edit(alice, change, title="Another title", risk="High"))
    assert f"{change.number} was saved." in said
    stored = Change.objects.get()
    assert (stored.title, stored.risk, stored.version) == ("Another title", "High", change.version + 1)
    assert stored.history.first().history_user == alice


def test_a_form_that_is_sent_untouched_saves_nothing(alice):
    change = change_in(
        Phase.DEPLOY, title=" A title ", description="One\r\nTwo\n", implementation_plan="  indented\n\n", service=" x "
    )
    assert change.actual_start.microsecond or change.actual_start.second
    said = text(edit(alice, change))
    assert "Nothing was changed, so nothing was saved." in said
    stored = Change.objects.get()
    assert stored.version == change.version
    assert (stored.title, stored.description, stored.actual_start) == (
        change.title,
        change.description,
        change.actual_start,
    )


def test_clearing_a_choice_a_date_and_a_group_empties_them(alice):
    change = change_in(Phase.LOG)
    edit(alice, change, risk="", planned_start="", owning_group="", requested_by="", description="")
    stored = Change.objects.get()
    assert (stored.risk, stored.planned_start, stored.owning_group, stored.requested_by) == (None, None, None, None)
    assert stored.description == ""


def test_type_and_requester_are_fixed_after_log(alice, carol):
    change = change_in(Phase.EVALUATE, requested_by=alice)
    content = web(alice).get(f"/changes/{change.number}/edit/").content.decode()
    for name in ("change_type", "requested_by"):
        assert " disabled" in content.partition(f'<select name="{name}"')[2].partition(">")[0]
    edit(alice, change, change_type="Emergency", requested_by=str(carol.pk), title="Another title")
    stored = Change.objects.get()
    assert (stored.change_type, stored.requested_by, stored.title) == ("Normal", alice, "Another title")


def test_type_and_requester_can_be_altered_in_log(alice, carol):
    change = ChangeFactory(requested_by=alice)
    edit(alice, change, change_type="Emergency", requested_by=str(carol.pk))
    stored = Change.objects.get()
    assert (stored.change_type, stored.requested_by) == ("Emergency", carol)


def test_a_requester_who_has_left_stays_on_the_form(alice):
    gone = UserFactory(username="gone", is_active=False)
    change = ChangeFactory(requested_by=gone)
    edit(alice, change, title="Another title")
    assert Change.objects.get().requested_by == gone


@pytest.mark.parametrize("phase", [Phase.CLOSE, Phase.ABANDON])
def test_a_final_change_shows_no_form_and_refuses_one(alice, phase):
    change = change_in(phase)
    response = web(alice).get(f"/changes/{change.number}/edit/")
    assert "its fields are read-only" in text(response)
    assert 'name="title"' not in response.content.decode()
    response = edit(alice, change, title="Another title")
    assert response.status_code == 409
    assert "What you typed cannot be saved any more" in text(response)
    assert "Another title" in text(response)
    assert Change.objects.get().title == change.title


def test_an_invalid_edit_keeps_what_was_typed_and_saves_nothing(alice):
    change = change_in(Phase.PLAN)
    response = edit(alice, change, title="", service="Typed service")
    assert response.status_code == 200
    assert 'value="Typed service"' in response.content.decode()
    assert Change.objects.get().version == change.version


def test_giving_it_to_an_external_group_sends_it_and_the_form_says_so_before(alice, acme):
    change = change_in(Phase.PLAN)
    group = acme.external_groups.get().group
    assert "ACME Networks (ACME)" in text(web(alice).get(f"/changes/{change.number}/edit/"))
    edit(alice, change, owning_group=str(group.pk))
    assert change.outgoing_operations.get().operation == "Assign"


def test_the_page_of_the_form_asks_the_database_as_often_with_many_groups_and_people(
    alice, acme, django_assert_max_num_queries
):
    change = change_in(Phase.LOG)
    for _ in range(20):
        SupportGroupFactory()
        UserFactory()
    client = web(alice)
    with django_assert_max_num_queries(9):
        client.get(f"/changes/{change.number}/edit/")


# --- Two people at once ---


@pytest.fixture
def conflict(alice, carol):
    """Alice opened the edit page; then carol saved another title, risk and description."""
    change = change_in(Phase.PLAN, requested_by=alice)
    opened = posted(change)
    with acting(carol):
        change.title, change.risk, change.description = "Carol's title", "High", "Carol's description"
        change.save()
    return change, opened


def test_a_stale_save_is_refused_and_shows_what_the_other_person_changed(alice, conflict):
    change, opened = conflict
    data = opened | {"title": "Alice's title", "service": "Alice's service"}
    response = web(alice).post(f"/changes/{change.number}/edit/", data)
    assert response.status_code == 409
    said = text(response)
    assert "was changed while you were editing" in said
    clash = said.partition("As it was:")[2].partition("Another value")[0]
    assert clash.split("Theirs")[0].strip() == "Replace core switch"
    assert "by carol," in clash
    assert "Carol's title" in clash
    assert "Mine Alice's title" in clash
    assert "Risk Low High carol" in said
    assert Change.objects.get().title == "Carol's title"
    assert Change.objects.get().version == change.version


def test_a_stale_save_keeps_what_was_typed_and_takes_theirs_where_nothing_was(alice, conflict):
    change, opened = conflict
    data = opened | {"title": "Alice's title", "service": "Alice's service"}
    content = web(alice).post(f"/changes/{change.number}/edit/", data).content.decode()
    assert 'value="Alice&#x27;s title"' in content
    assert 'value="Alice&#x27;s service"' in content
    assert "Carol&#x27;s description</textarea>" in content
    assert '<option value="High" selected>' in content
    assert f'name="version" value="{change.version}"' in content


def test_saving_again_goes_on_top_of_theirs_and_loses_nothing_untouched(alice, conflict):
    change, opened = conflict
    data = opened | {"title": "Alice's title", "service": "Alice's service"}
    client = web(alice)
    form = client.post(f"/changes/{change.number}/edit/", data).context["form"]
    again = {bound.html_name: rendered(bound) for bound in form if not bound.field.disabled}
    response = client.post(f"/changes/{change.number}/edit/", again)
    assert response.status_code == 302
    stored = Change.objects.get()
    assert (stored.title, stored.service) == ("Alice's title", "Alice's service")
    assert (stored.risk, stored.description) == ("High", "Carol's description")
    assert stored.version == change.version + 1


def rendered(bound):
    value = bound.field.widget.format_value(bound.value())
    value = value[0] if isinstance(value, list) and value else value
    return "" if value in (None, []) else str(value).replace("\r\n", "\n").replace("\n", "\r\n")


def test_a_third_person_in_between_is_told_of_again(alice, conflict):
    change, opened = conflict
    client = web(alice)
    form = client.post(f"/changes/{change.number}/edit/", opened | {"title": "Alice's title"}).context["form"]
    again = {bound.html_name: rendered(bound) for bound in form if not bound.field.disabled}
    with acting(UserFactory(username="dave")):
        change.category = "Dave's category"
        change.save()
    response = client.post(f"/changes/{change.number}/edit/", again)
    assert response.status_code == 409
    assert "Category Network Dave's category dave" in text(response)
    assert 'value="Alice&#x27;s title"' in response.content.decode()
    assert Change.objects.get().title == "Carol's title"


def test_the_page_out_of_date_whose_change_is_final_by_now_keeps_what_was_typed_readable(alice, carol):
    change = change_in(Phase.REVIEW, requested_by=alice)
    opened = posted(change)
    with acting(carol):
        change.completion_code = "Successful"
        change.move_to("Close")
        change.save()
    data = opened | {"description": "Alice's long text"}
    response = web(alice).post(f"/changes/{change.number}/edit/", data)
    assert response.status_code == 409
    said = text(response)
    assert "Phase Review → Close carol" in said
    assert "Alice's long text" in said
    assert Change.objects.get().description == change.description


def test_a_move_in_between_is_a_conflict_too_and_the_save_then_keeps_the_phase(alice, carol):
    change = change_in(Phase.LOG, requested_by=alice)
    opened = posted(change)
    with acting(carol):
        change.move_to("Evaluate")
        change.save()
    client = web(alice)
    response = client.post(f"/changes/{change.number}/edit/", opened | {"risk": "High", "change_type": "Emergency"})
    assert response.status_code == 409
    form = response.context["form"]
    again = {bound.html_name: rendered(bound) for bound in form if not bound.field.disabled}
    assert client.post(f"/changes/{change.number}/edit/", again).status_code == 302
    stored = Change.objects.get()
    assert (stored.phase, stored.risk, stored.change_type) == ("Evaluate", "High", "Normal")


def test_a_value_that_was_changed_and_changed_back_is_said(alice, carol):
    change = change_in(Phase.PLAN)
    opened = posted(change)
    with acting(carol):
        for risk in ("High", "Low"):
            change.risk = risk
            change.save()
    response = web(alice).post(f"/changes/{change.number}/edit/", opened | {"title": "Alice's title"})
    assert response.status_code == 409
    assert "Somebody saved the change meanwhile" in text(response)


@each_row("version", ["", "x", "0", "-3", "²", "99999999999999999999999", "1.5"])
def test_a_version_that_was_never_seen_is_refused_and_keeps_what_was_typed(alice, version):
    change = change_in(Phase.PLAN)
    response = edit(alice, change, version=version, title="Alice's title")
    assert response.status_code == 409
    assert 'value="Alice&#x27;s title"' in response.content.decode()
    assert Change.objects.get().title == change.title


def test_a_save_that_meets_another_one_between_check_and_write_is_refused_too(alice, carol, monkeypatch):
    change = change_in(Phase.PLAN)
    data = posted(change, title="Alice's title")

    def and_then_carol_saves(*args):
        other = Change.objects.get(pk=change.pk)
        with acting(carol):
            other.risk = "High"
            other.save()

    monkeypatch.setattr("changes.pages.edit.views.refuse_stale", and_then_carol_saves)
    response = web(alice).post(f"/changes/{change.number}/edit/", data)
    assert response.status_code == 409
    assert "Risk Low High carol" in text(response)
    assert Change.objects.get().title == change.title
