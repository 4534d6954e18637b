"""Migrating an installation with existing changes and operations.

It keeps who created each change, who altered its plan last, its round, and the state of each exchange and breaker.
"""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from changes.actor import acting
from changes.choices import Phase
from changes.models import Approval, Change, Comment
from integrations.models import DeliveryControl, ExternalReference, ExternalSystem, OutgoingOperation, PartnerAccount
from integrations.outgoing import outbox
from integrations.standing.failures import breaker_reason
from tests.factories import ChangeFactory, ExternalSystemFactory, UserFactory, change_in

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER = timedelta(hours=1)
# Before it was known who created a change, and why a breaker is open.
WITHOUT_CAUSES = (("changes", "0014_indexes_of_all_orders"), ("integrations", "0014_sends_markdown"))
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


# Breakers before the migration: state, until when, text, failures in a row. After it: the cause, and
# three counts: the failures in a row, and of the window the failures and the tries. The text is still shown.
BREAKERS = {
    "ROW": ("Open", NOW, "7 tries in a row failed", 7, ("in_a_row", 7, 0, 0)),
    "PROBED": ("HalfOpen", NOW, "10 tries in a row failed", 10, ("in_a_row", 10, 0, 0)),
    "SHARE": ("HalfOpen", NOW, "12 of 20 tries failed within 60 s", 1, ("share", 1, 12, 20)),
    "HAND": ("Open", None, "They move their data centre", 0, ("by_hand", 0, 0, 0)),
    "SAID": ("Open", None, "3 tries in a row failed, says their desk (bob)", 0, ("by_hand", 0, 0, 0)),
    "CLOSED": ("Closed", None, "", 3, ("", 3, 0, 0)),
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


def test_an_old_installation_is_upgraded_with_what_it_has_exchanged(alice, carol, migrate):
    """Checks all migrations on one way back and forth, with two stops, because each takes seconds."""
    changes = [ChangeFactory(owning_group=None) for _ in range(4)]
    user = UserFactory()
    partner = ExternalSystemFactory(system_id="DELTA")
    expected, rounds, activities = work_on_changes(alice, carol, partner)
    break_with_causes(partner.authorized_user)

    apps = migrate(*WITHOUT_CAUSES)
    assert_reasons_are_told_without_causes(apps)
    exchanges, systems = exchange_before_there_was_a_next(migrate(BEFORE), changes, user)
    apps = migrate(WITHOUT_KINDS)
    failed = fail_before_there_were_kinds(apps, changes[-1], user)
    break_before_there_were_causes(apps, user)
    migrate()

    assert created_and_planned() == expected
    assert_last_activities(activities)
    waiting = Change.objects.filter(phase=Phase.APPROVE_PLAN)
    assert {change.pk: change.approval_round for change in waiting} == rounds
    assert_the_first_that_waits_is_next(exchanges, systems, changes)
    assert_failures_have_a_kind(failed)
    assert_breakers_have_a_cause()
    assert_partners_are_marked({user, partner.authorized_user})


def saved(user, change, system_id=None, **fields):
    for name, value in fields.items():
        setattr(change, name, value)
    with acting(user, system_id):
        change.save()
    return change


def created_and_planned():
    """By change: who created it, and who altered its plan last."""
    return {change.pk: (change.created_by, change.plan_altered_by) for change in Change.objects.order_by("pk")}


def work_on_changes(alice, carol, system):
    """Returns what is to be found after the migration: `created_and_planned()`, rounds, and last activities."""
    partner = system.authorized_user
    with acting(alice):
        of_alice, of_both, of_partner_last = ChangeFactory(), ChangeFactory(), ChangeFactory()
        approved, altered = change_in(Phase.APPROVE_PLAN), change_in(Phase.APPROVE_PLAN)
        deployed = change_in(Phase.DEPLOY)
    with acting(partner, system.system_id):
        of_partner = ChangeFactory()
    saved(carol, of_alice, title="Another title")
    saved(carol, of_both, risk="High")
    saved(partner, of_partner_last, system.system_id, backout_plan="Leave it out.")
    saved(carol, of_partner, implementation_plan="By day")
    for change in (approved, altered):
        Approval(change=change, author=UserFactory(username="chris"), decision="Approved").save()
    saved(carol, altered, backout_plan="Leave it out.")
    expected = created_and_planned()
    assert expected[of_alice.pk] == (alice, alice)
    assert expected[of_both.pk] == (alice, carol)
    assert expected[of_partner_last.pk] == (alice, None)
    assert expected[of_partner.pk] == (None, carol)
    expected[deployed.pk] = (None, None)  # nobody approves it any more
    with connection.cursor() as cursor:  # an earlier release began no round when the plan was altered
        cursor.execute("UPDATE changes_change SET approval_round = 1 WHERE id = %s", [altered.pk])
    activities = add_activities(alice, carol, system, [of_alice, approved, of_both, deployed])
    return expected, {approved.pk: 1, altered.pk: 2}, activities


def add_activities(alice, carol, system, changes):
    """Something after the last save of each change: a comment, an approval, news of a partner, nothing.

    Returns the last activity of each change, by its key.
    """
    commented, decided, heard_of, saved_last = changes
    Comment(change=commented, author=alice, body="Later").save()
    Approval(change=decided, author=carol, decision="Denied", comment="No").save()
    with connection.cursor() as cursor:
        for sql, change in (
            ("UPDATE changes_comment SET created_at = %s WHERE change_id = %s", commented),
            ("UPDATE changes_approval SET created_at = %s WHERE change_id = %s", decided),
        ):
            moment = connection.ops.adapt_datetimefield_value(change.updated_at + LATER)
            cursor.execute(sql, [moment, change.pk])
    for change, before in ((heard_of, -LATER), (saved_last, LATER)):
        with transaction.atomic():
            reference = ExternalReference.objects.create(change=change, system=system, external_id=f"A-{change.pk}")
        ExternalReference.objects.filter(pk=reference.pk).update(updated_at=change.updated_at - before)
    moments = {commented: LATER, decided: LATER, heard_of: LATER, saved_last: timedelta()}
    return {change.pk: change.updated_at + after for change, after in moments.items()}


def assert_last_activities(expected):
    """Filled by changes 0022 and integrations 0026."""
    found = dict(Change.objects.filter(pk__in=expected).values_list("pk", "last_activity_at"))
    assert found == expected


def break_with_causes(user):
    """As installations with causes have them: only a person's reason is a text."""
    for name, (breaker, until, text, _, (cause, *counts)) in BREAKERS.items():
        row = ExternalSystemFactory(system_id=f"NEW-{name}", authorized_user=user)
        failures = dict(zip(("consecutive_failures", "window_failures", "window_tries"), counts, strict=True))
        reason = text if cause == "by_hand" else ""
        controls = DeliveryControl.objects.filter(system=row)
        controls.update(breaker=breaker, breaker_until=until, breaker_cause=cause, breaker_reason=reason, **failures)


def assert_reasons_are_told_without_causes(apps):
    (controls,) = rows_of(apps, "DeliveryControl")
    told = dict(
        controls.filter(system__system_id__startswith="NEW-").values_list("system__system_id", "breaker_reason")
    )
    assert told == {f"NEW-{name}": text for name, (_, _, text, *_) in BREAKERS.items()}


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
    for name, (breaker, until, reason, failures, _) in BREAKERS.items():
        row = system.create(system_id=name, authorized_user_id=user.pk, endpoint_url="http://127.0.0.1:9/")
        control.create(
            system=row,
            breaker=breaker,
            breaker_until=until,
            breaker_reason=reason,
            consecutive_failures=failures,
        )


def assert_breakers_have_a_cause():
    for name, (breaker, _, reason, _, (cause, *counts)) in BREAKERS.items():
        control = DeliveryControl.objects.get(system__system_id=name)
        told = (control.breaker, control.breaker_cause, breaker_reason(control))
        assert told == (breaker, cause, reason)
        assert control.breaker_reason == (reason if cause == "by_hand" else "")
        assert [control.consecutive_failures, control.window_failures, control.window_tries] == counts, name


def assert_partners_are_marked(users):
    """Partners may do what is usual from now on: a Standard change needs leave."""
    assert {account.user for account in PartnerAccount.objects.all()} == users
    allowed = ExternalSystem.objects.values_list("change_types", "settable_fields", "transitions", "relays_for")
    assert {str(row) for row in allowed} == {str((["Normal", "Emergency"], None, None, []))}
