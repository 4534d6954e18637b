"""Creating and editing changes over the API."""

import pytest

from changes.choices import Phase
from changes.models import Change
from tests.factories import ChangeFactory, SupportGroupFactory, change_in
from tests.reading import as_read
from tests.rows import each_row

CHANGES = "/api/v1/changes/"

FULL = {
    "title": "Replace core switch",
    "description": "Out of support",
    "change_type": "Emergency",
    "category": "Network",
    "service": "LAN",
    "reason": "End of support",
    "justification": "No spare parts",
    "risk": "High",
    "business_impact": "Enterprise",
    "urgency": "TotalLossOfService",
    "implementation_plan": "  Swap it.\n",
    "backout_plan": "",
    "planned_start": "2026-11-24T09:30:00Z",
    "planned_end": "2026-11-24T11:30:00.250000Z",
    "actual_start": None,
    "actual_end": None,
    "completion_code": None,
    "owning_group": "Network",
}


class TestCreating:
    @pytest.mark.any_database
    def test_a_title_is_enough(self, api, alice):
        answer = api(alice).post(CHANGES, {"title": "New"})
        assert answer.status_code == 201
        change = Change.objects.get()
        assert answer.json() == as_read(change)
        assert answer.headers["Location"] == f"http://testserver{CHANGES}{change.number}/"
        assert answer.headers["ETag"].startswith('"1-')
        read = answer.json()
        assert (read["phase"], read["business_impact"], read["urgency"]) == ("Log", "SingleUser", "SlightDisruption")
        assert (read["priority"], read["change_type"], read["requested_by"]) == ("Low", "Normal", "alice")
        assert [read[name] for name in ("risk", "completion_code", "owning_group", "planned_start")] == [None] * 4

    def test_every_field_is_kept_as_it_was_sent(self, api, alice):
        SupportGroupFactory(name="Network")
        answer = api(alice).post(CHANGES, FULL)
        assert answer.status_code == 201
        assert {name: answer.json()[name] for name in FULL} == FULL
        assert answer.json()["priority"] == "Critical"
        assert api(alice).get(answer.headers["Location"]).json() == answer.json()

    @pytest.mark.any_database
    def test_the_history_names_the_caller(self, api, alice):
        api(alice).post(CHANGES, {"title": "New"})
        assert Change.objects.get().history.get().history_user == alice

    def test_times_come_back_in_utc(self, api, alice):
        answer = api(alice).post(CHANGES, {"title": "New", "planned_start": "2026-11-24T09:30:00.1234567+05:30"})
        assert answer.json()["planned_start"] == "2026-11-24T04:00:00.123456Z"


class TestEditing:
    @pytest.fixture
    def change(self, db):
        return ChangeFactory()

    @pytest.fixture
    def address(self, change):
        return f"{CHANGES}{change.number}/"

    @each_row("name", [name for name in FULL if name != "owning_group"])
    def test_one_field_is_changed_and_the_rest_left(self, api, alice, change, address, name):
        before = api(alice).get(address).json()
        value = {"actual_start": "2026-11-24T09:30:00Z", "completion_code": "Withdrawn"}.get(name, FULL[name])
        if name == "title":
            value = "Another"
        if name.startswith("planned"):
            api(alice).patch(address, {"planned_start": None, "planned_end": None})
            before = api(alice).get(address).json()
        answer = api(alice).patch(address, {name: value})
        assert answer.status_code == 200
        derived = {"priority", "updated_at", "last_activity_at", "version", name}
        assert answer.json()[name] == value
        assert {key: value for key, value in answer.json().items() if key not in derived} == {
            key: value for key, value in before.items() if key not in derived
        }
        assert answer.json() == api(alice).get(address).json()

    @pytest.mark.any_database
    @each_row(
        "name",
        ["risk", "completion_code", "owning_group", "planned_start", "planned_end", "actual_start", "actual_end"],
    )
    def test_null_clears_choices_dates_and_groups(self, api, alice, address, name):
        full = {
            "completion_code": "Failed",
            "actual_start": "2026-01-01T00:00:00Z",
            "actual_end": "2026-01-01T01:00:00Z",
        }
        api(alice).patch(address, full)
        assert api(alice).get(address).json()[name] is not None
        answer = api(alice).patch(address, {name: None})
        assert answer.status_code == 200
        assert answer.json()[name] is None

    @pytest.mark.any_database
    @each_row(
        "name", ["description", "category", "service", "reason", "justification", "implementation_plan", "backout_plan"]
    )
    def test_text_may_be_empty(self, api, alice, address, name):
        assert api(alice).patch(address, {name: ""}).json()[name] == ""

    @pytest.mark.parametrize("body", [{}, {"title": "Replace core switch"}])
    def test_an_edit_that_alters_nothing_leaves_the_version(self, api, alice, change, address, body):
        answer = api(alice).patch(address, body)
        assert answer.status_code == 200
        assert (answer.json()["version"], answer.headers["ETag"][:3]) == (1, '"1-')
        assert change.history.count() == 1

    @pytest.mark.parametrize("header", [None, '"1"', '"1-0123456789abcdef"', "*", '"7", "1"'])
    def test_the_current_version_may_be_named(self, api, alice, address, header):
        headers = {} if header is None else {"HTTP_IF_MATCH": header}
        answer = api(alice).patch(address, {"title": "Another"}, **headers)
        assert (answer.status_code, answer.headers["ETag"][:3]) == (200, '"2-')

    def test_a_stale_edit_is_refused_with_what_the_other_person_changed(self, api, alice, carol, change, address):
        servers = SupportGroupFactory(name="Servers")
        api(carol).patch(address, {"title": "Carol's", "owning_group": servers.name, "description": "", "risk": None})
        answer = api(alice).patch(address, {"title": "Alice's"}, HTTP_IF_MATCH='"1"')
        assert answer.status_code == 412
        problem = answer.json()
        assert "was changed by somebody else" in problem["detail"]
        details = {error["attr"]: error["detail"] for error in problem["errors"]}
        assert set(details) == {"title", "owning_group", "description", "risk"}
        assert {error["code"] for error in problem["errors"]} == {"stale"}
        assert details["title"].startswith("Changed by carol at 20")
        assert details["title"].endswith("from “Replace core switch” to “Carol's”.")
        assert details["owning_group"].endswith("from “Network” to “Servers”.")
        assert details["risk"].endswith("from “Low” to nothing.")
        assert Change.objects.get().title == "Carol's"

    @each_row(
        "header",
        ["1", '"2"', '"2-0123456789abcdef"', 'W/"1"', '"x"', "", '"', "x" * 4000, '"999999999999999999"', '"0"'],
    )
    def test_an_if_match_that_is_not_the_current_version_changes_nothing(self, api, alice, address, header):
        answer = api(alice).patch(address, {"title": "Another"}, HTTP_IF_MATCH=header)
        assert answer.status_code == 412
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert Change.objects.get().title == "Replace core switch"

    @pytest.mark.any_database
    @pytest.mark.parametrize(
        ("body", "attr"),
        [
            ({"planned_start": "2026-01-02T00:00:00Z", "planned_end": "2026-01-01T00:00:00Z"}, "planned_end"),
            ({"planned_start": "2026-01-02T00:00:00Z", "planned_end": "2026-01-02T00:00:00Z"}, "planned_end"),
            ({"planned_end": "2020-01-01T00:00:00Z"}, "planned_end"),
            ({"actual_start": "2026-01-02T00:00:00Z", "actual_end": "2026-01-01T00:00:00Z"}, "actual_end"),
        ],
    )
    def test_an_end_before_its_start_is_refused(self, api, alice, address, body, attr):
        answer = api(alice).patch(address, {"title": "Another", **body})
        assert answer.status_code == 400
        assert [error["attr"] for error in answer.json()["errors"]] == [attr]
        assert Change.objects.get().version == 1

    @pytest.mark.any_database
    @pytest.mark.parametrize("phase", [Phase.CLOSE, Phase.ABANDON])
    def test_a_final_phase_is_read_only(self, api, alice, phase):
        change = change_in(phase)
        answer = api(alice).patch(f"{CHANGES}{change.number}/", {"title": "Another", "risk": "High"})
        assert answer.status_code == 409
        assert {error["attr"] for error in answer.json()["errors"]} == {"title", "risk"}
        assert "read-only" in answer.json()["detail"]
        assert Change.objects.get().title == "Replace core switch"

    @pytest.mark.any_database
    def test_the_type_is_fixed_once_the_change_left_log(self, api, alice):
        change = change_in(Phase.PLAN)
        answer = api(alice).patch(f"{CHANGES}{change.number}/", {"change_type": "Standard"})
        assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (409, "change_type")
        assert Change.objects.get().change_type == "Normal"

    @pytest.mark.any_database
    def test_the_history_names_the_caller(self, api, carol, change, address):
        api(carol).patch(address, {"title": "Another"})
        assert change.history.latest().history_user == carol


@pytest.mark.any_database
def test_a_body_of_any_size_that_the_limit_allows_is_read(api, alice, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    change = ChangeFactory()
    text = "é" * 100_000
    answer = api(alice).patch(f"{CHANGES}{change.number}/", {"description": text})
    assert answer.status_code == 200
    assert Change.objects.get().description == text
