"""The cause of an open circuit breaker: stored as a kind, shown in the language of the page."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone, translation

from integrations.models import DeliveryControl
from integrations.standing.flow import flow_of
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
        "Somebody paused sending to ACME: its desk moves (ingrid). ",
        "its desk moves (ingrid). ",
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
