"""Migrating an installation with existing changes: who created each, who altered its plan last, and its round."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from changes.actor import acting
from changes.choices import Phase
from changes.models import Approval, Change, Comment
from changes.setup.online_migrations import AddIndexOnline
from integrations.models import ExternalReference
from tests.factories import ChangeFactory, UserFactory, change_in

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("changes", "0014_indexes_of_all_orders")


@pytest.fixture
def migrate():
    """`migrate(target)` migrates to a target. After the test the database is migrated back."""

    def to(*targets):
        executor = MigrationExecutor(connection)
        executor.migrate(targets or executor.loader.graph.leaf_nodes())

    yield to
    to()


def saved(user, change, system_id=None, **fields):
    for name, value in fields.items():
        setattr(change, name, value)
    with acting(user, system_id):
        change.save()
    return change


def kept():
    """By change: who created it, and who altered its plan last."""
    return {change.pk: (change.created_by, change.plan_altered_by) for change in Change.objects.order_by("pk")}


def test_the_history_says_who_created_and_planned_each_change(alice, carol, acme, migrate):
    partner = acme.authorized_user
    with acting(alice):
        of_alice, of_both, of_partner_last = ChangeFactory(), ChangeFactory(), ChangeFactory()
        approved, altered = change_in(Phase.APPROVE_PLAN), change_in(Phase.APPROVE_PLAN)
        deployed = change_in(Phase.DEPLOY)
    with acting(partner, "ACME"):
        of_partner = ChangeFactory()
    saved(carol, of_alice, title="Another title")
    saved(carol, of_both, risk="High")
    saved(partner, of_partner_last, "ACME", backout_plan="Leave it out.")
    saved(carol, of_partner, implementation_plan="By day")
    for change in (approved, altered):
        Approval(change=change, author=UserFactory(username="chris"), decision="Approved").save()
    saved(carol, altered, backout_plan="Leave it out.")
    expected = kept()
    assert expected[of_alice.pk] == (alice, alice)
    assert expected[of_both.pk] == (alice, carol)
    assert expected[of_partner_last.pk] == (alice, None)
    assert expected[of_partner.pk] == (None, carol)
    expected[deployed.pk] = (None, None)  # nobody approves it any more
    with connection.cursor() as cursor:  # an earlier release began no round when the plan was altered
        cursor.execute("UPDATE changes_change SET approval_round = 1 WHERE id = %s", [altered.pk])

    activities = add_activities(alice, carol, acme, [of_alice, approved, of_both, deployed])

    migrate(BEFORE)
    migrate()

    assert kept() == expected
    assert_last_activities(activities)
    rounds = {change.pk: change.approval_round for change in Change.objects.filter(phase=Phase.APPROVE_PLAN)}
    assert rounds == {approved.pk: 1, altered.pk: 2}


LATER = timedelta(hours=1)


def add_activities(alice, carol, acme, changes):
    """Something after the last save of each change: a comment, an approval, news of a partner, nothing.

    Returns the last activity of each change, by its key.
    """
    commented, decided, heard_of, saved_last = changes
    Comment(change=commented, author=alice, body="Later").save()
    Approval(change=decided, author=carol, decision="Denied", comment="No").save()
    with connection.cursor() as cursor:
        for table, change in (("changes_comment", commented), ("changes_approval", decided)):
            moment = connection.ops.adapt_datetimefield_value(change.updated_at + LATER)
            cursor.execute(f"UPDATE {table} SET created_at = %s WHERE change_id = %s", [moment, change.pk])  # noqa: S608
    for change, before in ((heard_of, -LATER), (saved_last, LATER)):
        with transaction.atomic():
            reference = ExternalReference.objects.create(change=change, system=acme, external_id=f"A-{change.pk}")
        ExternalReference.objects.filter(pk=reference.pk).update(updated_at=change.updated_at - before)
    moments = {commented: LATER, decided: LATER, heard_of: LATER, saved_last: timedelta()}
    return {change.pk: change.updated_at + after for change, after in moments.items()}


def assert_last_activities(expected):
    """Filled by changes 0022 and integrations 0026."""
    found = dict(Change.objects.filter(pk__in=expected).values_list("pk", "last_activity_at"))
    assert found == expected


def test_an_index_that_is_there_already_is_left_alone():
    """It may have been made by another migration, which has it no more."""
    state = MigrationExecutor(connection).loader.project_state()
    [index] = [index for index in Change._meta.indexes if index.name == "change_activity"]
    with connection.schema_editor(atomic=False) as editor:
        AddIndexOnline("change", index).database_forwards("changes", editor, state, state)
