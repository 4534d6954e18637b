"""The database statements of one operation, so that nobody adds one unnoticed.

docs/performance.md gives the purpose of each. Inside a test, an operation's transaction is a savepoint.
"""

import re
import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from changes.models import Change, Comment
from integrations.models import ExternalReference, IncomingOperation
from tests.factories import ChangeFactory, SupportGroupFactory
from tests.processes import until

pytestmark = pytest.mark.django_db

STATEMENT = re.compile(r'\s*(\w+)(?:\s+INTO|.*?\bFROM)?(?:\s+"?(\w+))?', re.S)
OF_TRANSACTION = {"BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK"}
PARTNER, GROUP = "SELECT knox_authtoken", "SELECT changes_supportgroup"
FIND = ["SELECT changes_change", "SELECT integrations_externalreference"]
KNOWN = "WITH integrations_exchange"
PROPERTIES = {"title": "Replace the switch", "description": "x" * 1000, "risk": "Low", "owning_group": "Network"}


@pytest.fixture
def asked(acme, partner_api):
    """`asked(201, operation="Create", ...)` sends an operation as ACME. Returns verb and table of each statement."""
    SupportGroupFactory(name="Network")
    client = partner_api(acme)
    assert client.get("/api/v1/changes/").status_code == 200  # notes that the token is used, for some minutes

    def send(status, key="k-1", **fields):
        with CaptureQueriesContext(connection) as captured:
            body = {"system_id": "ACME", "external_id": "C-1", **fields}
            answer = client.post("/api/v1/operations/", body, format="json", headers={"Idempotency-Key": key})
        assert answer.status_code == status, answer.content
        found = [STATEMENT.match(query["sql"]).groups() for query in captured.captured_queries]
        return [verb if verb in OF_TRANSACTION else f"{verb} {table}" for verb, table in found]

    return send


def recorded(exchange, together):
    """The statement that writes the state of an exchange and an operation. On SQLite they are two."""
    return [together] if connection.vendor == "postgresql" else [exchange, together]


CREATE = [
    PARTNER,
    GROUP,
    "SAVEPOINT",
    "INSERT changes_change",
    "INSERT changes_historicalchange",
    "INSERT integrations_externalreference",
    "INSERT integrations_incomingoperation",
    "RELEASE",
]


def test_a_create(asked):
    assert asked(201, operation="Create", properties=PROPERTIES) == CREATE


def test_a_create_for_another_partner_reads_nothing_more_and_writes_what_goes_there(asked, beta):
    assert asked(201, operation="Create", properties={**PROPERTIES, "owning_group": "BETA Servers"}) == [
        *CREATE[:5],
        *recorded("INSERT integrations_exchange", "WITH exchange"),
        *CREATE[5:],
    ]


def test_a_comment_of_ours_on_a_change_of_a_partner(alice, api, acme):
    change = ChangeFactory(owning_group=acme.external_groups.get().group)
    client = api(alice)
    client.get(f"/api/v1/changes/{change.number}/")  # notes that the token is used
    with CaptureQueriesContext(connection) as captured:
        answer = client.post(f"/api/v1/changes/{change.number}/comments/", {"body": "Hello"}, format="json")
    assert answer.status_code == 201
    found = [STATEMENT.match(query["sql"]).groups() for query in captured.captured_queries]
    assert [f"{verb} {table}" for verb, table in found if verb not in OF_TRANSACTION] == [
        "SELECT auth_permission",  # with the token and its user
        "SELECT changes_change",
        "INSERT changes_comment",
        KNOWN,
        *recorded("UPDATE integrations_exchange", "WITH integrations_outgoingoperation"),
        "UPDATE changes_change",  # its last activity
    ]


def test_an_update_of_fields(asked, acme):
    ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="C-1")
    assert asked(200, operation="Update", properties={"title": "New"}) == [
        PARTNER,
        "SAVEPOINT",
        *FIND,
        "UPDATE changes_change",
        "INSERT changes_historicalchange",
        "UPDATE integrations_externalreference",
        # Read for the answer. A join would lock these rows too: see ChangeQuerySet.locked().
        "SELECT changes_supportgroup",
        "SELECT auth_user",
        "INSERT integrations_incomingoperation",
        "RELEASE",
    ]


def test_a_comment_costs_its_row_and_the_reading_of_who_hears_of_it(asked, acme):
    ExternalReference.objects.create(change=ChangeFactory(), system=acme, external_id="C-1")
    nobody = asked(200, operation="Update", properties={"title": "New"})
    comments = [{"body": "one"}, {"body": "two"}]
    asked_more = asked(200, key="k-2", operation="Update", properties={"title": "Newer"}, comments=comments)
    for each in nobody:
        asked_more.remove(each)
    assert asked_more == [*["INSERT changes_comment", KNOWN] * 2, "UPDATE changes_change"]  # its last activity


def test_a_repeat_of_a_create_is_undone_at_its_reference(asked):
    asked(201, operation="Create", properties=PROPERTIES)
    assert asked(201, operation="Create", properties=PROPERTIES) == [
        *CREATE[: CREATE.index("INSERT integrations_externalreference") + 1],
        "ROLLBACK",
        "RELEASE",
        "SELECT integrations_incomingoperation",
    ]
    assert (Change.objects.count(), IncomingOperation.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_postgresql_keeps_the_plans_of_what_runs_over_and_over(acme, partner_api, settings, is_wanted):
    settings.DATABASE_PREPARED_STATEMENTS = is_wanted
    client, properties = partner_api(acme), {"title": "Replace the switch"}
    connection.close()  # a new operation cannot have a stored answer
    for number in range(5):
        body = {"system_id": "ACME", "operation": "Create", "external_id": f"C-{number}", "properties": properties}
        assert client.post("/api/v1/operations/", body, format="json").status_code == 201
    assert Change.objects.count() == 5
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement FROM pg_prepared_statements")
            kept = [text for (text,) in cursor.fetchall()]
        assert any('INTO "integrations_incomingoperation"' in text for text in kept) == is_wanted
        assert bool(kept) == is_wanted


@pytest.mark.django_db(transaction=True)
def test_an_operation_that_a_deadlock_undid_is_done_again(acme, partner_api):
    """PostgreSQL ends one of two transactions in a deadlock. SQLite has one writer at a time: both just wait."""
    change = ChangeFactory()
    reference = ExternalReference.objects.create(change=change, system=acme, external_id="C-1")
    holds, may_go_on = threading.Event(), threading.Event()

    def rival():
        with transaction.atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL deadlock_timeout = '60s'")  # so the other transaction is ended
            ExternalReference.objects.filter(pk=reference.pk).update(external_status="Seen")
            holds.set()
            may_go_on.wait(60)
            Change.objects.locked().get(pk=change.pk)
        connection.close()

    def waits():
        if connection.vendor != "postgresql":
            return True
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return cursor.fetchone()[0] > 0

    def watch():
        until("the operation waits for the rival", waits)
        may_go_on.set()
        connection.close()

    threads = [threading.Thread(target=rival), threading.Thread(target=watch)]
    threads[0].start()
    assert holds.wait(60)
    threads[1].start()
    comments = [{"body": "Once"}]
    body = {"system_id": "ACME", "operation": "Update", "external_id": "C-1", "comments": comments}
    answer = partner_api(acme).post("/api/v1/operations/", body, format="json")
    for thread in threads:
        thread.join()
    assert answer.status_code == 200, answer.content
    assert [entry.status for entry in IncomingOperation.objects.all()] == ["Applied"]
    assert [comment.body for comment in Comment.objects.all()] == ["Once"]
    reference.refresh_from_db()
    assert reference.external_status == "Seen"
