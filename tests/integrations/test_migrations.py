"""Migrating an installation with existing operations keeps the state of each exchange."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from integrations.models import DeliveryControl, ExternalSystem, OutgoingOperation, PartnerAccount
from integrations.outgoing import outbox
from integrations.standing.failures import breaker_reason
from tests.factories import ChangeFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE = ("integrations", "0001_initial")
WITHOUT_KINDS = ("integrations", "0008_failure_kinds")
# By change and system: the status of each operation by sequence, and the operation that must be next afterwards.
EXCHANGES = {
    (0, "ACME"): (["Delivered", "Skipped", "Refused", "Waiting", "Waiting"], 3),
    (0, "BETA"): (["Delivered", "Sending", "Waiting"], 2),
    (1, "ACME"): (["Delivered", "Delivered", "Skipped"], None),
    (1, "BETA"): (["Waiting", "Waiting"], 1),
    (2, "ACME"): ([], None),
    (2, "GONE"): (["Skipped", "Waiting"], 2),
}


# Failed tries before the migration: HTTP status and error text. After it: the kind and the status.
FAILURES = [
    (503, "answered 503", ("status", 503)),
    (None, "no complete answer within 15 s", ("timeout", None)),
    (None, "Connect call failed", ("connection_refused", None)),
]


# Breakers before the migration: state, until when, text. After it: the cause and what is shown as the reason.
BREAKERS = {
    "ROW": ("Open", NOW, "7 tries in a row failed", ("in_a_row", "7 tries in a row failed")),
    "SHARE": ("HalfOpen", NOW, "12 of 20 tries failed within 60 s", ("share", "12 of 20 tries failed within 60 s")),
    "HAND": ("Open", None, "They move their data centre", ("by_hand", "They move their data centre")),
    "CLOSED": ("Closed", None, "", ("", "")),
}


@pytest.fixture
def migrate():
    """`migrate(target)` migrates to a target. After the test the database is migrated back."""

    def to(*targets):
        executor = MigrationExecutor(connection)
        executor.migrate(targets or executor.loader.graph.leaf_nodes())
        return MigrationExecutor(connection).loader.project_state(targets).apps

    yield to
    to()


def rows_of(apps, *names):
    return (apps.get_model("integrations", name).objects for name in names)


def test_an_old_installation_is_upgraded_with_what_it_has_exchanged(migrate):
    """Checks all migrations on one way back and forth, with one stop, because each takes seconds."""
    changes = [ChangeFactory(owning_group=None) for _ in range(4)]
    user = UserFactory()
    exchanges, systems = exchange_before_there_was_a_next(migrate(BEFORE), changes, user)
    apps = migrate(WITHOUT_KINDS)
    failed = fail_before_there_were_kinds(apps, changes[-1], user)
    break_before_there_were_causes(apps, user)

    migrate()

    assert_the_first_that_waits_is_next(exchanges, systems, changes)
    assert_failures_have_a_kind(failed)
    assert_breakers_have_a_cause()
    assert_partners_are_marked(user)


def exchange_before_there_was_a_next(apps, changes, user):
    system, exchange, operation = rows_of(apps, "ExternalSystem", "Exchange", "OutgoingOperation")
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
    return exchanges, systems


def assert_the_first_that_waits_is_next(exchanges, systems, changes):
    for key, (statuses, following) in EXCHANGES.items():
        rows = OutgoingOperation.objects.filter(exchange=exchanges[key]).order_by("sequence")
        assert [row.status for row in rows] == statuses
        assert [row.sequence for row in rows if row.is_next] == [following] * (following is not None)
        assert {(row.change_id, row.system_id) for row in rows} <= {(changes[key[0]].pk, systems[key[1]])}
    controls = DeliveryControl.objects.filter(system__in=systems.values()).values_list("system", "breaker")
    assert sorted(controls) == [(pk, "Closed") for pk in sorted(systems.values())]
    # The stale claim of an old worker is freed. Refused operations, those behind them, and disabled systems' wait.
    assert [row.exchange_id for row in outbox.claim(100)] == [exchanges[1, "BETA"]]
    assert outbox.release_stale() == 1
    assert [row.exchange_id for row in outbox.claim(100)] == [exchanges[0, "BETA"]]


def fail_before_there_were_kinds(apps, change, user):
    """Failed operations of a system that was paused by an answer. The last operation was delivered before that."""
    system, control, exchange, operation, attempt = rows_of(
        apps, "ExternalSystem", "DeliveryControl", "Exchange", "OutgoingOperation", "DeliveryAttempt"
    )
    paused = {"paused_at": NOW, "pause_reason": "GAMMA forbids our calls (403)"}
    gamma = system.create(
        system_id="GAMMA", authorized_user_id=user.pk, endpoint_url="http://127.0.0.1:9/", enabled=True, **paused
    )
    control.create(system=gamma)
    pair = exchange.create(change_id=change.pk, system=gamma, last_sequence=len(FAILURES) + 1)
    row = {"exchange": pair, "change_id": change.pk, "system": gamma, "payload": {}, "operation": "Update"}
    row |= {"created_at": NOW, "next_try_at": NOW}
    for sequence, (status, error, _) in enumerate(FAILURES, start=1):
        waiting = operation.create(sequence=sequence, status="Waiting", last_error=error, **row)
        attempt.create(
            operation=waiting, claim=1, started_at=NOW, duration=0.1, http_status=status, error="" if status else error
        )
    operation.create(sequence=len(FAILURES) + 1, status="Delivered", settled_at=NOW, **row)
    return gamma.pk


def assert_failures_have_a_kind(system):
    operations = OutgoingOperation.objects.filter(system=system).order_by("sequence")
    kinds = [kind for _, _, kind in FAILURES]
    assert [*operations.values_list("last_failure", "last_http_status")] == [*kinds, ("", None)]
    control = DeliveryControl.objects.select_related("system").get(system=system)
    assert (control.system.pause_status, control.first_delivered_at) == (403, NOW)


def break_before_there_were_causes(apps, user):
    system, control = rows_of(apps, "ExternalSystem", "DeliveryControl")
    for name, (breaker, until, reason, _) in BREAKERS.items():
        row = system.create(system_id=name, authorized_user_id=user.pk, endpoint_url="http://127.0.0.1:9/")
        control.create(system=row, breaker=breaker, breaker_until=until, breaker_reason=reason)


def assert_breakers_have_a_cause():
    for name, (breaker, _, _, expected) in BREAKERS.items():
        control = DeliveryControl.objects.get(system__system_id=name)
        assert (control.breaker, control.breaker_cause, breaker_reason(control)) == (breaker, *expected)


def assert_partners_are_marked(user):
    """Partners may do what is usual from now on: a Standard change needs leave."""
    assert [account.user for account in PartnerAccount.objects.all()] == [user]
    allowed = ExternalSystem.objects.values_list("change_types", "settable_fields", "transitions", "relays_for")
    assert {str(row) for row in allowed} == {str((["Normal", "Emergency"], None, None, []))}
