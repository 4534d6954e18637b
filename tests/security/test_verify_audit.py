"""`verify_audit` finds every way in which somebody with access to the database tampers with the log."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError

from changes.models import SecurityEvent, append_only
from changes.security_log import chain
from changes.security_log.recording import Subject, record
from changes.security_log.verifying import Walk
from tests.rows import each_row


@pytest.fixture
def five(db):
    """Five entries, and the last hash of the first three."""
    for number in range(1, 6):
        record("role_given", Subject("auth.user", str(number), f"person {number}"), {"role": "Auditor"})
        chain.seal()
    assert [event.id for event in SecurityEvent.objects.all()] == [1, 2, 3, 4, 5]
    return SimpleNamespace(third=SecurityEvent.objects.get(id=3).hash, last=SecurityEvent.objects.get(id=5).hash)


def tamper(*statements):
    """Runs the statements as somebody does who first takes the triggers away, and puts them back afterwards."""
    with connection.cursor() as cursor:
        editor = SimpleNamespace(connection=connection, execute=cursor.execute)
        append_only.remove(None, editor)
        for statement in statements:
            cursor.execute(statement)
        append_only.install(None, editor)


def verified(**options):
    """What the command prints, and its error if it ends with exit code 1."""
    printed = io.StringIO()
    try:
        call_command("verify_audit", stdout=printed, **options)
    except CommandError as error:
        assert error.returncode == 1
        return [*printed.getvalue().splitlines(), str(error)]
    return printed.getvalue().splitlines()


def test_what_nobody_touched_is_intact_and_the_last_hash_is_told(five):
    assert verified() == [
        "The security log is intact: 5 entries were checked.",
        f"Keep this elsewhere, for --last or --since: 5:{five.last}",
    ]
    for kept in (five.third, f"3:{five.third}"):
        assert verified(last=kept)[0] == "The security log is intact: 5 entries were checked."
    assert verified(since=f"3:{five.third}")[0] == "The security log is intact: 3 entries were checked."


def test_an_empty_log_is_intact(db):
    assert verified() == ["The security log is intact: 0 entries were checked."]


UNFIT = "does not follow from the entry before it: one of the two was replaced."
ALTERED = "was altered or inserted: its hash is not that of its contents."
# A copy of the third entry with another name, and with everything else that the chain needs except a right hash.
INSERTED = (
    "INSERT INTO changes_securityevent "
    "(id, at, kind, actor_id, actor_name, address, object_type, object_id, object_text, details, "
    "system_id, token, previous_hash, hash) SELECT {id}, at, kind, actor_id, 'mallory', address, object_type, "
    "object_id, object_text, details, system_id, token, {previous}, hash FROM changes_securityevent WHERE id = 3"
)


@each_row(
    "statements, faults",
    [
        (["UPDATE changes_securityevent SET actor_name = 'mallory' WHERE id = 1"], [f"Entry 1 {ALTERED}"]),
        (["UPDATE changes_securityevent SET object_text = 'person 9' WHERE id = 3"], [f"Entry 3 {ALTERED}"]),
        (["UPDATE changes_securityevent SET details = '{}' WHERE id = 5"], [f"Entry 5 {ALTERED}"]),
        (["UPDATE changes_securityevent SET at = '2026-01-01 00:00:00+00' WHERE id = 3"], [f"Entry 3 {ALTERED}"]),
        (["DELETE FROM changes_securityevent WHERE id = 1"], ["Entry 1 is missing."]),
        (["DELETE FROM changes_securityevent WHERE id = 3"], ["Entry 3 is missing."]),
        (["DELETE FROM changes_securityevent WHERE id IN (2, 3)"], ["Entries 2 to 3 are missing."]),
        (
            [INSERTED.format(id=6, previous="(SELECT hash FROM changes_securityevent WHERE id = 5)")],
            [f"Entry 6 {ALTERED}"],
        ),
        ([INSERTED.format(id=0, previous="''")], ["Entry 0 was inserted: the first entry is 1."]),
        # Swapped.
        (
            [
                "UPDATE changes_securityevent SET id = 99 WHERE id = 2",
                "UPDATE changes_securityevent SET id = 2 WHERE id = 4",
                "UPDATE changes_securityevent SET id = 4 WHERE id = 99",
            ],
            [f"Entry 2 {ALTERED}", f"Entry 3 {UNFIT}", f"Entry 4 {ALTERED}", f"Entry 5 {UNFIT}"],
        ),
        # The gap is closed again.
        (
            [
                "DELETE FROM changes_securityevent WHERE id = 3",
                "UPDATE changes_securityevent SET id = 3 WHERE id = 4",
                "UPDATE changes_securityevent SET id = 4 WHERE id = 5",
            ],
            [f"Entry 3 {ALTERED}", f"Entry 4 {ALTERED}"],
        ),
    ],
)
def test_tampering_is_found_and_the_entry_is_named(five, statements, faults):
    tamper(*statements)
    *told, summary = verified()
    assert told == faults
    assert summary.startswith(f"The security log was tampered with: {len(faults)} faults in ")


def test_an_entry_that_was_forged_with_a_right_hash_does_not_fit_the_next_one(five):
    forged = SecurityEvent.objects.get(id=3)
    forged.actor_name = "mallory"
    forged_hash = forged.computed_hash()
    tamper(f"UPDATE changes_securityevent SET actor_name = 'mallory', hash = '{forged_hash}' WHERE id = 3")  # noqa: S608
    assert verified()[0] == "Entry 4 does not follow from the entry before it: one of the two was replaced."


def test_the_end_that_was_cut_off_is_noticed_by_a_hash_that_was_kept(five):
    tamper("DELETE FROM changes_securityevent WHERE id >= 4")
    # The chain itself cannot know how long it was.
    assert verified()[0] == "The security log is intact: 3 entries were checked."
    cut = f"No entry has the hash {five.last}: the end of the log was cut off or altered."
    assert verified(last=five.last)[0] == cut
    assert (
        verified(since=f"5:{five.last}")[0] == "Entry 5 is missing, and all after it: the end of the log was cut off."
    )
    assert verified(since=f"3:{five.third}")[0] == "The security log is intact: 1 entries were checked."


def test_a_log_that_was_written_anew_as_a_whole_is_noticed_by_a_hash_that_was_kept(five):
    tamper("DELETE FROM changes_securityevent")
    for number in range(1, 6):
        record("role_given", Subject("auth.user", str(number), f"person {number}"), {"role": "Agent"})
    assert verified()[0] == "The security log is intact: 5 entries were checked."
    assert verified(since=f"3:{five.third}")[0] == f"Entry 3 does not have the kept hash {five.third}: it was altered."
    assert verified(last=five.last)[0].startswith("No entry has the hash")


def test_missing_triggers_are_a_fault(five):
    with connection.cursor() as cursor:
        append_only.remove(None, SimpleNamespace(connection=connection, execute=cursor.execute))
    assert verified()[0] == "The triggers that keep the log append-only are missing from the database."


@each_row("option, given", [("last", "abc"), ("since", "5"), ("since", "5:abc"), ("since", "0:" + "a" * 64)])
def test_a_hash_that_is_none_is_refused(db, option, given):
    assert verified(**{option: given})[0].startswith(f"--{option}: give ")


@each_row(
    "statement",
    [
        "UPDATE changes_securityevent SET actor_name = 'mallory' WHERE id = 3",
        "DELETE FROM changes_securityevent WHERE id = 3",
        "DELETE FROM changes_securityevent",
    ],
)
def test_the_database_refuses_to_alter_the_log(five, statement):
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verified()[0] == "The security log is intact: 5 entries were checked."


@each_row(
    "write",
    [
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda event: SecurityEvent.objects.update(kind="x"),
        lambda event: SecurityEvent.objects.filter(pk=3).delete(),
        lambda event: SecurityEvent.objects.bulk_update([event], ["kind"]),
        lambda event: SecurityEvent.objects.create(id=6, kind="x"),
    ],
)
def test_the_model_refuses_too(five, write):
    with pytest.raises(TypeError, match="append-only"):
        write(SecurityEvent.objects.get(id=3))


def test_a_long_log_is_read_in_portions(five, monkeypatch):
    monkeypatch.setattr("changes.security_log.verifying.AT_ONCE", 2)
    walk = Walk()
    assert list(walk.faults()) == []
    assert (walk.count, walk.last_id, walk.last_hash) == (5, 5, five.last)
