"""A system whose first operations were all refused: every page says that it was tried, and what happened."""

import json
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from integrations.choices import Failure
from integrations.models import DeliveryAttempt, DeliveryControl, OutgoingOperation
from integrations.outgoing import outbox
from tests.pages import text, web
from tests.rows import each_row

from .conftest import STATUS, give, settle

ADMIN = "/admin/integrations/externalsystem/"
WORD = "Nothing taken yet"
WHY = "ACME was tried, and has taken nothing so far. ACME answered 422: No such group."


@pytest.fixture
def new(acme):
    """ACME as it is before its first delivery."""
    DeliveryControl.objects.filter(system=acme).update(first_delivered_at=None)
    return acme


def refuse(failure=Failure.STATUS, status=422, error="answered 422: No such group"):
    results = []
    for operation in outbox.claim(10):
        attempt = DeliveryAttempt(
            operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1, http_status=status
        )
        attempt.failure, attempt.error = failure, error
        results.append(outbox.Result(operation, attempt, outbox.Outcome.REFUSED, error))
    outbox.settle(results)


def report():
    output = StringIO()
    call_command("exchange_status", "--json", stdout=output)
    (system,) = json.loads(output.getvalue())["systems"]
    return system


def test_each_page_says_that_it_was_tried_and_why_nothing_was_taken(ingrid, new):
    give(new, 2)
    assert report()["condition"] == "untried"
    refuse()
    pages = ("/", STATUS, ADMIN, f"{ADMIN}{new.pk}/change/", "/exchange/systems/ACME/connect/", f"{STATUS}ACME/test/")
    for address in pages:
        said = text(web(ingrid).get(address))
        assert WORD in said, address
        assert "Not tried yet" not in said, address
    for address in ("/", STATUS, f"{ADMIN}{new.pk}/change/"):
        assert WHY in text(web(ingrid).get(address)), address
    assert f"{STATUS}ACME/test/" in web(ingrid).get("/").content.decode()  # the desk still leads to a try
    assert (report()["condition"], report()["detail"]) == ("untaken", WHY)


def test_it_was_tried_even_if_the_refused_operation_was_skipped_since(ingrid, new):
    give(new)
    refuse()
    outbox.skip(OutgoingOperation.objects.get(), ingrid, "Only a try")
    assert (report()["condition"], report()["detail"]) == ("untaken", WHY)
    desk = text(web(ingrid).get("/"))
    assert "No external system has taken an operation so far." in desk
    assert "Nothing is stuck" not in desk


def test_an_operation_that_was_skipped_before_it_was_tried_tells_nothing(ingrid, new):
    give(new)
    outbox.skip(OutgoingOperation.objects.get(), ingrid, "Not needed")
    assert report()["condition"] == "untried"


def test_the_first_delivery_ends_it(new):
    give(new)
    refuse()
    give(new)
    settle(outbox.Outcome.DELIVERED)
    assert report()["condition"] == "flowing"


@pytest.mark.any_database
@each_row(
    ("failure", "error", "why"),
    [
        (Failure.ENDPOINT_URL, "no host", "The endpoint URL of ACME cannot be used."),
        (Failure.INTERNAL, "KeyError", "The fault is here, not at ACME. The worker's log says more."),
    ],
)
def test_what_failed_for_good_here_is_told_too(new, failure, error, why):
    give(new)
    refuse(failure, None, error)
    assert report()["detail"] == f"ACME was tried, and has taken nothing so far. {why}"


@pytest.mark.any_database
def test_a_partner_that_collects_and_refuses_what_it_gets_is_told_so(new):
    give(new)
    refuse(Failure.REFUSED, None, "no such group")
    assert report()["condition"] == "untried"  # a partner that is called refuses by a status
    new.delivery = "pull"
    new.save()
    DeliveryControl.objects.update(asked_at=timezone.now())
    why = "ACME asks for its operations, but has taken none so far. ACME refused it: No such group."
    assert (report()["condition"], report()["detail"]) == ("untaken", why)


@pytest.mark.any_database
def test_a_german_page_says_it_in_german(ingrid, new):
    give(new)
    refuse()
    said = text(web(ingrid).get(STATUS, headers={"accept-language": "de"}))
    assert "Noch nichts angenommen ACME wurde erprobt und hat bisher nichts angenommen. ACME hat mit 422" in said


def give_up(count=1):
    """Lets all tries of the schedule fail."""
    results = []
    for operation in outbox.claim(count):
        operation.tries = len(settings.DELIVERY_RETRY_SCHEDULE)
        attempt = DeliveryAttempt(operation=operation, claim=operation.claim, started_at=timezone.now(), duration=0.1)
        attempt.failure, attempt.error = Failure.TIMEOUT, "no complete answer within 15 s"
        results.append(outbox.Result(operation, attempt, outbox.Outcome.RETRY, "no complete answer within 15 s"))
    outbox.settle(results)


@pytest.mark.any_database
def test_what_was_given_up_is_told_as_such_and_not_as_repeated(ingrid, new):
    give(new)
    give_up()
    assert OutgoingOperation.objects.get().status == "Refused"
    why = "ACME was tried, and has taken nothing so far. ACME did not answer in time."
    assert (report()["condition"], report()["detail"]) == ("untaken", why)
    for address in ("/", STATUS, f"{ADMIN}{new.pk}/change/", "/exchange/systems/ACME/connect/"):
        assert WORD in text(web(ingrid).get(address)), address
    give(new)  # another one is sent now
    assert (report()["condition"], report()["detail"]) == ("failing", "The latest try failed; it is repeated.")


@pytest.mark.any_database
def test_a_system_that_took_some_before_says_that_nothing_is_repeated(acme):
    give(acme)
    give_up()
    assert (report()["condition"], report()["detail"]) == ("failing", "The latest try failed, and nothing waits.")
