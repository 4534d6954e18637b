"""`/healthz` and `/readyz`: what a load balancer and a person with a pager are told. tests/faults/ has real outages."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone

from integrations import tasks
from integrations.models import SignOfLife
from integrations.watch import readiness
from integrations.watch.bounded import Look
from integrations.workers import signs
from tests.processes import until
from tests.services import run_dir

WELL = dict.fromkeys(readiness.CHECKS, "ok")


@pytest.fixture
def all_heard(transactional_db, monkeypatch) -> None:
    """The sweeps of both queues have run, and beat ticks. What is seen is kept for no time."""
    monkeypatch.setattr(signs, "_left", {})
    monkeypatch.setattr(readiness, "_database", Look(readiness._LookAtDatabase(), 0))
    tasks.dispatch_due()
    tasks.release_stale()
    signs.leave(signs.BEAT)


def ready(client: Client | None = None, address: str = "/readyz") -> tuple[int, dict]:
    response = (client or Client()).get(address)
    return response.status_code, response.json()


def test_an_installation_is_ready_when_all_its_parts_were_heard(all_heard):
    status, body = ready()
    assert (status, body["status"]) == (200, "ready")
    assert {name: check["state"] for name, check in body["checks"].items()} == WELL
    assert all(0 <= check["seconds_ago"] < 60 for check in body["checks"].values())


# role, how long ago it was heard (None: never), what is said of it
HEARD = [
    ("beat", 50, "ok", None),
    ("beat", 61, "failing", "not heard for more than 60 s"),
    ("worker_delivery", 3600, "failing", "not heard for more than 60 s"),
    ("worker_housekeeping", None, "failing", "never heard"),
]


def test_a_part_that_was_not_heard_lately_is_named(all_heard):
    for role, seconds, state, detail in HEARD:
        rows = SignOfLife.objects.filter(role=role)
        kept = rows.get()
        rows.delete()
        begun = timezone.now()
        if seconds is not None:
            SignOfLife.objects.create(role=role, seen_at=timezone.now() - timedelta(seconds=seconds))
        status, body = ready()
        found = body["checks"][role]
        assert (status, found["state"], found.get("detail")) == (200 if state == "ok" else 503, state, detail)
        took = (timezone.now() - begun).total_seconds()
        assert seconds is None or 0 <= found["seconds_ago"] - seconds < took + 0.1
        assert {name: check["state"] for name, check in body["checks"].items()} == {**WELL, role: state}
        rows.delete()
        kept.save(force_insert=True)


def test_a_part_that_is_heard_again_leaves_one_row(all_heard):
    SignOfLife.objects.filter(role="beat").update(seen_at=timezone.now() - timedelta(hours=1))
    signs._left.clear()
    signs.leave(signs.BEAT)
    assert ready()[0] == 200
    assert SignOfLife.objects.count() == 3


def test_signs_cost_one_statement_and_not_at_every_sweep(all_heard, django_assert_num_queries):
    signs._left.clear()
    with django_assert_num_queries(1):
        for _ in range(5):
            signs.leave(signs.DELIVERY)


def test_callers_that_come_while_a_check_runs_get_its_result(all_heard, monkeypatch):
    """They neither queue nor ask the database once more."""
    if connection.vendor != "postgresql":
        return  # nothing can hold up a reader of SQLite
    looks: list[str] = []

    def counted() -> object:
        looks.append("begun")
        return look_at_database()

    look_at_database = readiness._LookAtDatabase()
    look: Look = Look(counted, 0)
    monkeypatch.setattr(readiness, "_database", look)
    monkeypatch.setattr(readiness, "PATIENCE", 30.0)
    with (
        psycopg.connect(
            f"host={run_dir() / 'postgresql'} user=postgres dbname={connection.settings_dict['NAME']}"
        ) as holding,
        ThreadPoolExecutor(6) as callers,
    ):
        holding.execute("LOCK TABLE integrations_signoflife IN ACCESS EXCLUSIVE MODE")
        answers = [callers.submit(ready) for _ in range(6)]
        until("all callers wait for the look", lambda: look._latest and len(look._latest._condition._waiters) == 6)
        assert looks == ["begun"]
        holding.rollback()
        told = [answer.result(30) for answer in answers]
    assert [status for status, _ in told] == [200] * 6
    assert len({str(body["checks"]["beat"]) for _, body in told}) == 1
    assert looks == ["begun"]
    assert ready()[0] == 200
    assert looks == ["begun", "begun"]


def test_a_missing_migration_is_told_and_the_log_says_it_once(all_heard, caplog):
    caplog.set_level(logging.INFO)
    recorder = MigrationRecorder(connection)
    [newest] = MigrationLoader(connection).graph.leaf_nodes("integrations")
    recorder.record_unapplied(*newest)
    try:
        answers = [ready(), ready()]
    finally:
        recorder.record_applied(*newest)
    for status, body in answers:
        assert status == 503
        checks = body["checks"]
        states = [checks[name]["state"] for name in ("database", "migrations", "beat")]
        assert states == ["ok", "failing", "unknown"]
        assert "not applied: run migrate" in checks["migrations"]["detail"]
    assert ready()[0] == 200
    told = [record.getMessage() for record in caplog.records]
    assert not [line for line in told if "/readyz" in line]
    assert len([line for line in told if "migrations is not well" in line]) == 1
    assert len([line for line in told if "migrations is well again" in line]) == 1


# What a call asks with, and what it is answered.
ASKED = [
    ("/readyz?checks=database,migrations", 200, ["database", "migrations"]),
    ("/readyz?checks=broker", 200, ["broker"]),
    ("/readyz?checks=", 200, [*readiness.CHECKS]),
    ("/readyz?checks=database,disk", 400, None),
]


def test_a_load_balancer_can_ask_for_some_of_the_checks(all_heard):
    for address, status, names in ASKED:
        got, body = ready(address=address)
        assert got == status, address
        if names:
            assert [*body["checks"]] == names
        else:
            assert body["error"].startswith("checks: choose from database, migrations, broker")
            assert body["error"].endswith("There is no disk.")


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_any_host_may_ask_without_https_and_nobody_is_told_more(all_heard, settings, address):
    settings.SECURE_SSL_REDIRECT = True
    response = Client().get(address, headers={"host": "10.0.0.7:8000"})
    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response
    text = response.content.decode() + str(response.headers)
    for secret in ("redis", "postgres", "127.0.0.1", "sqlite", "Django", "granian"):
        assert secret not in text
    assert Client().post(address).status_code == 405


def test_alive_needs_no_database(client, django_assert_num_queries, db):
    with django_assert_num_queries(0):
        response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
