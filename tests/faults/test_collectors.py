"""Partners that collect: their readers die at any point, and ours are killed. Each operation counts once, in order."""

from __future__ import annotations

import threading
import time

import pytest

from .check import recorded
from .collectors import PollingDesk, PullingDesk

pytestmark = pytest.mark.xdist_group("faults")

CHANGES, COMMENTS = 6, 4


@pytest.fixture
def desk(exchange, random):
    """GAMMA, with three readers."""
    exchange.partner_api("GAMMA")
    return PullingDesk([exchange.partner_api("GAMMA") for _ in range(3)], random)


class Work(threading.Thread):
    """Alice gives changes to partners and comments on them. She repeats what failed."""

    def __init__(self, exchange, group):
        super().__init__()
        self.exchange, self.group, self.changes = exchange, group, []

    def run(self):
        client = self.exchange.api("alice")
        for number in range(CHANGES):
            fields = {"title": f"Cloud {number}", "owning_group": self.group}
            self.changes.append(self.until_sent(client, "changes/", fields)["number"])
        for number in range(COMMENTS):
            for change in self.changes:
                self.until_sent(client, f"changes/{change}/comments/", {"body": f"Comment {number}"})

    def until_sent(self, client, path, fields):
        while True:
            try:
                answer = client.post(f"/api/v1/{path}", json=fields, timeout=10)
            except OSError:
                time.sleep(0.1)
                continue
            if answer.status_code == 201:
                return answer.json()
            assert answer.status_code >= 500, answer.text
            time.sleep(0.1)


def kill_web(exchange):
    exchange.kill_process_and_its_children("web")
    exchange.start_process("web")
    exchange.until("the web server answers", exchange.is_answering)


def kill_postgresql(exchange):
    exchange.stop_postgresql("SIGKILL")
    exchange.start_postgresql()
    exchange.until("the web server answers", exchange.is_answering)


def kill_a_worker(exchange):
    exchange.kill_process_and_its_children("worker-1")
    exchange.start_process("worker-1")
    exchange.until_worker_is_ready("worker-1")


@pytest.mark.parametrize("fault", [kill_web, kill_postgresql, kill_a_worker])
def test_each_operation_takes_effect_once_and_in_order(exchange, desk, since, random, fault):
    until_all_is_delivered(exchange, desk, Work(exchange, "GAMMA Cloud"), since, random, fault)
    rows = [row for row in recorded(exchange, since) if row.system_id == "GAMMA"]
    assert len(rows) >= CHANGES * (1 + COMMENTS)
    assert {row.id for row in rows} == desk.known
    for change in {row.change for row in rows}:
        expected = [row.sequence for row in rows if row.change == change]
        assert desk.applied[change] == expected == [*range(1, len(expected) + 1)]
    assert sum(desk.deaths.values()) > 0


@pytest.mark.parametrize("fault", [kill_web, kill_postgresql])
def test_smax_adapters_have_each_comment_once_and_in_order(exchange, since, random, fault):
    desk = PollingDesk([exchange.adapter() for _ in range(2)], random)
    work = Work(exchange, "DELTA Telephony")
    until_all_is_delivered(exchange, desk, work, since, random, fault)
    ids = [str(int(number[3:])) for number in work.changes]
    assert {*ids} <= {*desk.records}
    for number, change in zip(work.changes, ids, strict=True):
        answered = exchange.api("alice").get(f"/api/v1/changes/{number}/comments/").json()["results"]
        assert desk.comments[change] == [comment["body"] for comment in answered]
        assert {*desk.comments[change]} == {f"Comment {place}" for place in range(COMMENTS)}
        (reference,) = exchange.api("alice").get(f"/api/v1/changes/{number}/").json()["external_references"]
        assert reference["external_id"] == f"D-{change}"
    assert sum(desk.deaths.values()) > 0


def until_all_is_delivered(exchange, desk, work, since, random, fault):
    with desk:
        work.start()
        for _ in range(2):
            time.sleep(random.uniform(0.3, 1))
            fault(exchange)
        work.join()
        exchange.until("readers have died", lambda: any(desk.deaths.values()))
        desk.may_die = False
        exchange.until("all is delivered", lambda: _open(exchange, since) == [], seconds=90)


def _open(exchange, since):
    return [str(row) for row in recorded(exchange, since) if row.status != "Delivered"]
