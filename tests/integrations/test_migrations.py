"""An installation that has exchanged already keeps on where it was."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from integrations.models import DeliveryControl, OutgoingOperation
from integrations.outgoing import outbox
from tests.factories import ChangeFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE = ("integrations", "0001_initial")
# By change and system: the status of each operation in order of sequence, and which is next afterwards.
EXCHANGES = {
    (0, "ACME"): (["Delivered", "Skipped", "Refused", "Waiting", "Waiting"], 3),
    (0, "BETA"): (["Delivered", "Sending", "Waiting"], 2),
    (1, "ACME"): (["Delivered", "Delivered", "Skipped"], None),
    (1, "BETA"): (["Waiting", "Waiting"], 1),
    (2, "ACME"): ([], None),
    (2, "GONE"): (["Skipped", "Waiting"], 2),
}


@pytest.fixture
def migrate():
    """`migrate(target)` goes there; after the test all is as it was."""

    def to(*targets):
        executor = MigrationExecutor(connection)
        executor.migrate(targets or executor.loader.graph.leaf_nodes())
        return MigrationExecutor(connection).loader.project_state(targets).apps

    yield to
    to()


def test_waiting_operations_find_their_exchange_and_the_first_of_them_is_next(migrate):
    changes = [ChangeFactory(owning_group=None) for _ in range(3)]
    user = UserFactory()
    old = migrate(BEFORE)
    system, exchange, operation = (
        old.get_model("integrations", name).objects for name in ("ExternalSystem", "Exchange", "OutgoingOperation")
    )
    systems = {
        name: system.create(
            system_id=name,
            authorized_user_id=user.pk,
            endpoint_url="http://127.0.0.1:9/operations",
            enabled=name != "GONE",
        ).pk
        for name in ("ACME", "BETA", "GONE")
    }
    exchanges = {}
    for (number, name), (statuses, _) in EXCHANGES.items():
        keys = {"change_id": changes[number].pk, "system_id": systems[name]}
        exchanges[number, name] = exchange.create(last_sequence=len(statuses), **keys).pk
        for sequence, status in enumerate(statuses, start=1):
            operation.create(
                sequence=sequence,
                status=status,
                operation="Update",
                payload={"change": {}, "changed_fields": {}, "comment": None, "attachment": None},
                next_try_at=NOW,
                created_at=NOW,
                settled_at=NOW if status in ("Delivered", "Skipped") else None,
                tries=1 if status == "Refused" else 0,
                claim=1 if status == "Sending" else 0,
                claimed_until=NOW if status == "Sending" else None,
                **keys,
            )

    migrate()

    for key, (statuses, following) in EXCHANGES.items():
        rows = OutgoingOperation.objects.filter(exchange=exchanges[key]).order_by("sequence")
        assert [row.status for row in rows] == statuses
        assert [row.sequence for row in rows if row.is_next] == [following] * (following is not None)
        assert {(row.change_id, row.system_id) for row in rows} <= {(changes[key[0]].pk, systems[key[1]])}
    assert sorted(DeliveryControl.objects.values_list("system", "breaker")) == [
        (pk, "Closed") for pk in sorted(systems.values())
    ]
    # The stale claim of a worker of before is given back; what is refused, behind it, or of a disabled system waits.
    assert [row.exchange_id for row in outbox.claim(100)] == [exchanges[1, "BETA"]]
    assert outbox.release_stale() == 1
    assert [row.exchange_id for row in outbox.claim(100)] == [exchanges[0, "BETA"]]


def test_without_any_operation_it_goes_both_ways(migrate):
    migrate(BEFORE)
    migrate()
    assert OutgoingOperation.objects.count() == DeliveryControl.objects.count() == 0


def test_what_waits_gets_the_kind_of_its_failure_and_a_paused_system_its_status(migrate):
    change, user = ChangeFactory(owning_group=None), UserFactory()
    old = migrate(("integrations", "0008_failure_kinds"))
    system, control, exchange, operation, attempt = (
        old.get_model("integrations", name).objects
        for name in ("ExternalSystem", "DeliveryControl", "Exchange", "OutgoingOperation", "DeliveryAttempt")
    )
    paused = {"paused_at": NOW, "pause_reason": "ACME forbids our calls (403)"}
    acme = system.create(system_id="ACME", authorized_user_id=user.pk, endpoint_url="http://127.0.0.1:9/", **paused)
    control.create(system=acme)
    pair = exchange.create(change_id=change.pk, system=acme, last_sequence=4)
    failures = [(503, "answered 503"), (None, "no complete answer within 15 s"), (None, "Connect call failed")]
    times = {"created_at": NOW, "next_try_at": NOW}
    for sequence, (status, error) in enumerate(failures, start=1):
        row = {"exchange": pair, "change_id": change.pk, "system": acme, "sequence": sequence, "payload": {}, **times}
        waiting = operation.create(operation="Update", status="Waiting", last_error=error, **row)
        attempt.create(
            operation=waiting, claim=1, started_at=NOW, duration=0.1, http_status=status, error="" if status else error
        )
    row = {"exchange": pair, "change_id": change.pk, "system": acme, "sequence": 4, "payload": {}, **times}
    operation.create(operation="Update", status="Delivered", settled_at=NOW, **row)
    migrate()
    kinds = OutgoingOperation.objects.order_by("sequence").values_list("last_failure", "last_http_status")
    assert list(kinds) == [("status", 503), ("timeout", None), ("connection_refused", None), ("", None)]
    control = DeliveryControl.objects.select_related("system").get()
    assert (control.system.pause_status, control.first_delivered_at) == (403, NOW)
