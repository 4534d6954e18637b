"""Two people edited one change: the second chooses field by field, and nothing that was typed is lost."""

import pytest

from changes.actor import acting
from changes.choices import Phase
from changes.models import Change
from tests.factories import SupportGroupFactory, UserFactory, change_in
from tests.html_forms import read_form
from tests.pages import posted, text, web


@pytest.fixture
def change(alice):
    return change_in(Phase.PLAN, requested_by=alice)


def saved_by(person, change, **values):
    other = Change.objects.get(pk=change.pk)
    with acting(person):
        for name, value in values.items():
            setattr(other, name, value)
        other.save()


def address(change):
    return f"/changes/{change.number}/edit/"


def filled(response, **typed):
    """The form data that a browser sends from the conflict page, with these choices and typed texts."""
    form = read_form(response, "version")
    for name in typed:
        assert name in form["names"], name
    return form["fields"] | typed


def clash(client, change, alice, carol, **mine):
    """Posts `mine` as alice, after carol saved another title, description and risk."""
    opened = posted(change)
    saved_by(carol, change, title="Carol's title", description="Carol's description", risk="High")
    return client.post(address(change), opened | mine)


@pytest.mark.any_database
def test_only_fields_that_both_changed_are_to_be_chosen_and_the_others_are_listed(alice, carol, change):
    mine = {"title": "Alice's title", "service": "Alice's service", "risk": "High"}
    response = clash(web(alice), change, alice, carol, **mine)
    assert response.status_code == 409
    merged = response.context["merge"]
    assert [item.name for item in merged.clashes] == ["title"]
    assert [edit.field for edit in merged.taken] == ["description"]
    assert [typed.name for typed in merged.kept] == ["service"]
    assert [typed.name for typed in merged.same] == ["risk"]
    said = text(response)
    assert "Both of you changed 1 field." in said
    assert "As it was: Replace core switch Theirs by carol," in said
    assert "Mine Alice's title" in said
    assert "Service Alice's service you Yours is kept" in said
    assert "Risk High both of you It is the same" in said
    assert Change.objects.get().title == "Carol's title"


@pytest.mark.parametrize(
    ("choice", "typed", "kept"),
    [
        ("theirs", "Alice's title", "Carol's title"),
        ("mine", "Alice's title", "Alice's title"),
        ("edit", "A title of both", "A title of both"),
        ("mine", "begun and thought better of", "Alice's title"),
    ],
)
def test_what_was_chosen_is_saved_with_what_merged_by_itself(alice, carol, change, choice, typed, kept):
    client = web(alice)
    page = clash(client, change, alice, carol, title="Alice's title", service="Alice's service")
    response = client.post(address(change), filled(page, choice_title=choice, title=typed))
    assert response.status_code == 302
    stored = Change.objects.get()
    assert (stored.title, stored.service) == (kept, "Alice's service")
    assert (stored.description, stored.risk) == ("Carol's description", "High")


@pytest.mark.any_database
def test_without_a_choice_nothing_is_saved_and_all_stays_as_it_was_typed(alice, carol, change):
    client = web(alice)
    page = clash(client, change, alice, carol, title="Alice's title", description="Alice's description")
    before = Change.objects.get().version
    response = client.post(address(change), filled(page, choice_title="mine", description="Begun"))
    assert response.status_code == 409
    assert "Choose which value to keep: theirs, yours, or another one." in text(response)
    assert Change.objects.get().version == before
    form = read_form(response, "version")["fields"]
    assert (form["choice_title"], form["mine_title"]) == (["mine"], ["Alice's title"])
    assert form["description"] == ["Begun"]
    response = client.post(address(change), filled(response, choice_description="theirs"))
    assert response.status_code == 302
    stored = Change.objects.get()
    assert (stored.title, stored.description) == ("Alice's title", "Carol's description")


def test_a_third_edit_of_the_same_field_is_to_be_chosen_anew_and_another_field_leaves_the_choice(alice, carol, change):
    client = web(alice)
    page = clash(client, change, alice, carol, title="Alice's title", description="Alice's description")
    saved_by(UserFactory(username="dave"), change, title="Dave's title", category="Dave's category")
    response = client.post(address(change), filled(page, choice_title="theirs", choice_description="mine"))
    assert response.status_code == 409
    said = text(response)
    assert "As it was: Replace core switch Theirs by dave," in said
    assert "Category Network Dave's category dave" in said
    fields = read_form(response, "version")["fields"]
    assert "choice_title" not in fields
    assert fields["choice_description"] == ["mine"]
    assert fields["mine_title"] == ["Alice's title"]
    response = client.post(address(change), filled(response, choice_title="mine"))
    assert response.status_code == 302
    stored = Change.objects.get()
    assert (stored.title, stored.category) == ("Alice's title", "Dave's category")
    assert stored.description == "Alice's description"


@pytest.mark.any_database
def test_an_error_beside_a_choice_keeps_the_choice_and_what_was_typed(alice, carol, change):
    client = web(alice)
    page = clash(client, change, alice, carol, title="Alice's title")
    data = filled(page, choice_title="edit", title="Both", service="x" * 201)
    response = client.post(address(change), data)
    assert "at most 200 characters" in text(response)
    fields = read_form(response, "version")["fields"]
    assert (fields["choice_title"], fields["title"], fields["service"]) == (["edit"], ["Both"], ["x" * 201])
    assert Change.objects.get().title == "Carol's title"


@pytest.mark.any_database
def test_groups_and_people_are_told_by_name(alice, carol, change):
    opened = posted(change)
    saved_by(carol, change, owning_group=SupportGroupFactory(name="Servers"))
    mine = str(SupportGroupFactory(name="Desktops").pk)
    client = web(alice)
    response = client.post(address(change), opened | {"owning_group": mine})
    said = text(response)
    assert "As it was: Network Theirs by carol," in said
    assert "Servers Mine Desktops" in said
    client.post(address(change), filled(response, choice_owning_group="mine"))
    assert Change.objects.get().owning_group.name == "Desktops"


@pytest.mark.any_database
def test_a_field_that_was_fixed_meanwhile_is_told_with_what_was_typed(alice, carol):
    change = change_in(Phase.LOG, requested_by=alice)
    opened = posted(change)
    other = Change.objects.get()
    with acting(carol):
        other.move_to("Evaluate")
        other.save()
    client = web(alice)
    response = client.post(address(change), opened | {"change_type": "Emergency", "risk": "High"})
    said = text(response)
    assert "The change was moved to Evaluate meanwhile." in said
    assert "Type Emergency you Cannot be saved any more: the field is read-only now" in said
    assert client.post(address(change), filled(response)).status_code == 302
    stored = Change.objects.get()
    assert (stored.phase, stored.risk, stored.change_type) == ("Evaluate", "High", "Normal")


@pytest.mark.any_database
def test_long_texts_with_line_ends_survive_every_choice(alice, carol, change):
    mine = 'Line one\r\n\r\n  Line <two> & "more"\r\n' + "word " * 100
    client = web(alice)
    page = clash(client, change, alice, carol, description=mine)
    response = client.post(address(change), filled(page, choice_description="mine", description="thrown away"))
    assert response.status_code == 302
    assert Change.objects.get().description == mine.replace("\r\n", "\n")


# --- The form itself ---


@pytest.mark.any_database
def test_what_the_next_phase_needs_is_marked_and_what_is_missing_stands_out(alice):
    change = change_in(Phase.LOG, description="")
    content = web(alice).get(address(change)).content.decode()
    assert "Still needed for Evaluate." in content.partition('id="id_description_helptext"')[2].partition("</p>")[0]
    service = content.partition('id="id_service_helptext"')[2].partition("</p>")[0]
    assert "Needed for Evaluate." in service
    assert "needed for" not in content.partition('id="id_completion_code_helptext"')[2].partition("</p>")[0]


@pytest.mark.any_database
def test_the_priority_on_the_form_is_that_of_the_matrix(alice, change):
    client = web(alice)
    data = posted(change, business_impact="Enterprise", urgency="TotalLossOfService")
    part = client.post(f"{address(change)}preview/", data, headers={"HX-Request": "true"}).content.decode()
    assert "Critical" in part.partition('id="priority-now"')[2].partition("</output>")[0]
    assert Change.objects.get().priority == "Low"
