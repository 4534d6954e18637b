"""What a partner sent and we refused, in words for people: labels and the page's language. The API keeps its values."""

import pytest

from tests.factories import ChangeFactory
from tests.pages import text, web
from tests.rows import each_row
from tests.stored import store

from .conftest import referenced

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

ROWS = [
    # the phase here, what the partner sends, what it is answered, what our people read
    (
        "Log",
        {"phase": "ApprovePlan"},
        "Normal changes have no transition from Log to ApprovePlan. Possible: Evaluate, Abandon.",
        "Normal changes have no transition from Log to Approve plan. Possible: Evaluate, Abandon.",
        "Für Changes vom Typ Normal gibt es keinen Übergang von Erfassen zu Plan genehmigen. Möglich: Bewerten",
    ),
    (
        "Log",
        {"phase": "Evaluate", "reason": ""},
        "Not ready for Evaluate: Reason must be set.",
        "Not ready for Evaluate: Reason must be set.",
        "Der Grund muss gesetzt sein.",
    ),
    (
        "Close",
        {"title": "Anew"},
        "is in Close: its fields are read-only. Add a comment instead.",
        "is in Close: its fields are read-only. Add a comment instead.",
        "ist in der Phase Schließen: Seine Felder sind schreibgeschützt.",
    ),
    # Of a field the API says what is wrong with it, in its own words.
    ("Log", {"risk": "Enormous"}, *["properties.risk: Give one of: Low, Medium, High."] * 3),
]


@each_row(("phase", "properties", "answered", "english", "german"), ROWS)
def test_a_refusal_is_told_with_labels_in_the_language_of_the_page(
    send, acme, ingrid, phase, properties, answered, english, german
):
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    store(change, phase=phase)
    referenced(change)
    answer = send("Update", external_id="C-1001", properties=properties)
    assert 400 <= answer.status_code < 500
    assert answered in answer.json()["detail"], answer.json()
    for language, said in (("en", english), ("de", german)):
        client = web(ingrid)
        for address in (f"/changes/{change.number}/", "/exchange/?direction=in", "/"):
            shown = text(client.get(address, headers={"Accept-Language": language}))
            assert said in shown, (address, language)
            assert "ApprovePlan" not in shown
