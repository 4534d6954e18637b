"""The simulated partners that collect: one that pulls, and one with an SMAX adapter, against this server."""

import pytest
from knox.models import AuthToken

from changes.models import Comment
from integrations.models import ExternalReference, ExternalSystem, OutgoingOperation
from tests.factories import PASSWORD, ChangeFactory, ExternalGroupFactory
from tests.processes import until

from .conftest import Simulator

pytestmark = pytest.mark.django_db(transaction=True)


def collecting(live_server, tmp_path, **partners):
    """A simulator with these partners, which begin to collect at once."""
    known = [{"system_id": name, "base_url": live_server.url, **values} for name, values in partners.items()]
    return Simulator(tmp_path, known)


@pytest.fixture
def given(alice):
    """`given("DELTA", "pull")` registers a system and gives it a change."""

    def given(name, delivery):
        external = ExternalGroupFactory(group__name=f"{name} group", system__system_id=name)
        ExternalSystem.objects.filter(pk=external.system_id).update(delivery=delivery, endpoint_url="")
        return ChangeFactory(title=f"For {name}", requested_by=alice, owning_group=external.group)

    return given


def operation(change, kind="Assign"):
    return OutgoingOperation.objects.filter(change=change, operation=kind).latest("sequence")


def status(change, kind="Assign"):
    return operation(change, kind).status


def test_both_take_what_they_are_given_and_answer_with_their_record(live_server, given, alice, tmp_path):
    pulled, polled = given("DELTA", "pull"), given("EPSILON", "smax")
    delta = ExternalSystem.objects.get(system_id="DELTA")
    simulator = collecting(
        live_server,
        tmp_path,
        DELTA={"delivery": "pull", "token": AuthToken.objects.create(delta.authorized_user)[1]},
        EPSILON={
            "delivery": "smax",
            "username": "epsilon-integration",
            "password": PASSWORD,
            "poll_seconds": 0.2,
        },
    )
    try:
        for change, name in ((pulled, "DELTA"), (polled, "EPSILON")):
            until(f"{name} has it", lambda change=change: status(change) == "Delivered")
            reference = ExternalReference.objects.get(change=change)
            assert (reference.external_id, reference.external_status) == (f"{name}-1001", "Assigned")
        # One refuses, with its reason.
        simulator.behave("DELTA", mode="answer", status=422, body={"detail": "Locked."}, times=1)
        Comment(change=pulled, author=alice, body="Hello").save()
        until("DELTA has refused it", lambda: status(pulled, "Update") == "Refused")
        assert operation(pulled, "Update").last_error == "Locked."
        # The other finds the comment by reading the record, once, however often the feed has it.
        Comment(change=polled, author=alice, body="Hello").save()
        until("EPSILON has read it", lambda: len(taken(simulator, polled)) == 2)
        answer = simulator.send(
            "EPSILON", {"system_id": "EPSILON", "operation": "Update", "change_number": polled.number, **_said("Done")}
        )
        assert answer["status"] == 200
        until("it is confirmed", lambda: status(polled, "Update") == "Delivered")
        assert [each["body"].get("comment") for each in taken(simulator, polled)] == [None, {"body": "Hello"}]
        page = simulator.api.get("/").text
        assert "Pulls: asks" in page
        assert "Has an SMAX adapter: polls" in page
        assert all("asked last at" in each["asked"] for each in simulator.get("/api/partners"))
    finally:
        simulator.process.stop()


def taken(simulator, change):
    return [each for each in simulator.get("/api/received", change=change.number) if each["taken"]]


def _said(body):
    return {"comments": [{"body": body}]}


def test_one_that_cannot_collect_says_why_and_goes_on(tmp_path):
    partners = {
        "DELTA": {"delivery": "pull", "token": "x"},
        "EPSILON": {"delivery": "smax", "username": "x", "password": "y"},
    }
    known = [{"system_id": name, "base_url": "http://127.0.0.1:1", **values} for name, values in partners.items()]
    simulator = Simulator(tmp_path, known)
    try:

        def says_why():
            asked = [each["asked"] for each in simulator.get("/api/partners")]
            return all(text.startswith("could not collect at") for text in asked)

        until("both say why", says_why)
    finally:
        simulator.process.stop()
