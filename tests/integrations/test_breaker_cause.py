"""The cause of an open circuit breaker: stored as a kind, shown in the language of the page."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone, translation

from integrations.models import DeliveryControl
from integrations.standing.flow import flow_of
from tests.factories import ExternalSystemFactory
from tests.rows import each_row

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)

# The stored values of an open breaker, and the beginning of its text in English and in German.
SAID = [
    ({"breaker_cause": "in_a_row", "consecutive_failures": 10}, "10 tries in a row failed. ", "10 Versuche "),
    (
        {"breaker_cause": "share", "window_failures": 4, "window_tries": 7},
        "4 of 7 tries failed within 60 s. ",
        "4 von 7 Versuchen ",
    ),
    (
        {"breaker_cause": "by_hand", "breaker_until": None, "breaker_reason": "its desk moves (ingrid)"},
        "Somebody paused sending to ACME: Its desk moves (ingrid). ",
        "Its desk moves (ingrid). ",
    ),
]


@each_row(("stored", "english", "german"), SAID)
def test_the_cause_is_told_in_the_language_of_the_page(acme, stored, english, german):
    opened = {"breaker": "Open", "breaker_opened_at": timezone.now(), "breaker_until": LATER} | stored
    DeliveryControl.objects.filter(system=acme).update(**opened)
    control = DeliveryControl.objects.select_related("system").get(system=acme)
    for language, said in (("en", english), ("de", german)):
        with translation.override(language):
            assert said in flow_of(control.system, NOW).detail


# Per system: breaker, until, reason and failures in a row before the migration, and the values after it.
STORED = {
    "row": ("Open", LATER, "12 tries in a row failed", 12, ("in_a_row", "", 12, 0, 0)),
    "probed": ("HalfOpen", LATER, "10 tries in a row failed", 10, ("in_a_row", "", 10, 0, 0)),
    "share": ("Open", LATER, "11 of 20 tries failed within 60 s", 1, ("share", "", 1, 11, 20)),
    "hand": ("Open", None, "3 tries in a row failed, says their desk (bob)", 0, ("by_hand", ..., 0, 0, 0)),
    "closed": ("Closed", None, "", 3, ("", "", 3, 0, 0)),
}


@pytest.mark.django_db(transaction=True)
def test_an_installation_of_before_keeps_why_its_breakers_are_open():
    def migrate(*targets):
        executor = MigrationExecutor(connection)
        executor.migrate(targets or executor.loader.graph.leaf_nodes())
        return MigrationExecutor(connection).loader.project_state(targets).apps

    before = ("integrations", "0014_sends_markdown")
    for name, (breaker, until, reason, _, (cause, text, *counts)) in STORED.items():
        opened = {"breaker": breaker, "breaker_until": until, "breaker_cause": cause}
        failures = dict(zip(("consecutive_failures", "window_failures", "window_tries"), counts, strict=True))
        made = DeliveryControl.objects.filter(system=ExternalSystemFactory(system_id=name))
        made.update(breaker_reason=reason if text is ... else text, **opened, **failures)
    try:
        control = migrate(before).get_model("integrations", "DeliveryControl").objects
        stored = dict(control.values_list("system__system_id", "breaker_reason"))
        assert stored == {name: reason for name, (_, _, reason, *_) in STORED.items()}
        for name, (_, _, _, failures, _) in STORED.items():
            earlier = {"consecutive_failures": failures, "window_failures": 0, "window_tries": 0}
            control.filter(system__system_id=name).update(**earlier)
        migrate()
        for name, (_, _, reason, _, (cause, text, *counts)) in STORED.items():
            row = DeliveryControl.objects.get(system__system_id=name)
            assert (row.breaker_cause, row.breaker_reason) == (cause, reason if text is ... else text), name
            assert [row.consecutive_failures, row.window_failures, row.window_tries] == counts, name
    finally:
        migrate()
