"""Workers end between any two steps of a mapped operation. No step that succeeded is made again."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
import yaml

from tests.integrations.connections.desk import Received, TicketDesk

from .stack import WORKERS

pytestmark = pytest.mark.xdist_group("faults")

DOCUMENT = """\
base_url: URL
outgoing:
  Assign:
    - name: find
      once: false
      when: "{{ not external_id }}"
      headers: &about {X-About: "{{ change.number }} {{ operation }}"}
      get: /tickets
      query: {number: "{{ change.number }}"}
      result: {external_id: "{{ body['items'][0].id if body['items'] else none }}"}
    - name: create
      when: "{{ not external_id }}"
      post: /tickets
      headers: *about
      json: {number: "{{ change.number }}"}
      result: {external_id: "{{ body.id }}"}
    - {name: status, put: "/tickets/{{ external_id }}", headers: *about, json: {status: open}}
    - &read
      name: read
      once: false
      get: /tickets/{{ external_id }}
      headers: {X-About: "{{ change.number }} {{ 'file' if attachment else 'comment' if comment else operation }}"}
      result: {external_status: "{{ body.status }}"}
  Update:
    - name: comment
      when: "{{ comment }}"
      post: /tickets/{{ external_id }}/comments
      headers: {X-About: "{{ change.number }} comment"}
      json: {text: "{{ comment.body }}"}
    - name: upload
      when: "{{ attachment }}"
      post: /uploads
      headers: &file {X-About: "{{ change.number }} file"}
      file: true
      save: {token: "{{ body.token }}"}
    - name: link
      when: "{{ attachment }}"
      post: /tickets/{{ external_id }}/files
      headers: *file
      text: "{{ steps.upload.token }}"
    - *read
"""
# All calls of a change that gets a comment and a file, each with whether its step is remembered.
CALLS = {
    ("Assign", "GET /tickets"): False,
    ("Assign", "POST /tickets"): True,
    ("Assign", "PUT"): True,
    ("Assign", "GET"): False,
    ("comment", "POST comments"): True,
    ("comment", "GET"): False,
    ("file", "POST /uploads"): True,
    ("file", "POST files"): True,
    ("file", "GET"): False,
}
Name = tuple[str, str, str]


def name_of(call: Received) -> Name:
    """The change, what of it the call is about, and the call without the ticket's id."""
    number, _, kind = call.headers["x-about"].partition(" ")
    parts = call.path.split("/")
    path = call.path if len(parts) == 2 else " ".join(parts[3:])
    return number, kind, f"{call.method} {path}".strip()


@dataclass
class Gate:
    """Holds one call of each change: `wanted`, until `decision` says whether it is done or hung up."""

    wanted: set[Name]
    held: Counter[Name] = field(default_factory=Counter)
    passed: list[Name] = field(default_factory=list)
    decision: bool | None = None
    is_open: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, call: Received) -> bool:
        name = name_of(call)
        with self._lock:
            is_held = name in self.wanted and not self.is_open.is_set()
            self.held[name] += is_held
        if is_held:
            self.is_open.wait(60)
        with self._lock:
            self.held[name] -= is_held
            if not is_held or self.decision:
                self.passed.append(name)
        return not is_held or bool(self.decision)

    @property
    def has_all(self) -> bool:
        return all(self.held[name] for name in self.wanted)

    def open(self, do: bool) -> None:
        self.decision = do
        self.is_open.set()


@pytest.fixture(scope="module")
def desk():
    desk = TicketDesk()
    yield desk
    desk.close()


@pytest.fixture
def numbers(exchange, desk, nothing_is_lost):
    """A change for each of CALLS, with a comment and a file, and the gate that holds this call of it."""
    configuration = {
        "external_systems": [
            {
                "system_id": "STEPS",
                "authorized_user": "steps-integration",
                "delivery": "mapped",
                "connection": DOCUMENT.replace("URL", desk.url),
            }
        ],
        "groups": [{"name": "STEPS people", "external_system": "STEPS"}],
    }
    file = exchange.folder / "steps.yaml"
    file.write_text(yaml.safe_dump(configuration))
    exchange.manage("load_exchange", str(file))
    for name in WORKERS:
        exchange.processes[name].pause()
    numbers = [given(exchange.api("alice")) for _ in CALLS]
    desk.gate = Gate({(number, *call) for number, call in zip(numbers, CALLS, strict=True)})
    return numbers


def given(api):
    """Gives a change to STEPS, with a comment and a file. Returns its number."""

    def post(path, **options):
        answer = api.post(f"/api/v1/changes/{path}", **options)
        assert answer.status_code == 201, answer.text
        return answer.json()

    number = post("", json={"title": "Steps", "owning_group": "STEPS people"})["number"]
    post(f"{number}/comments/", json={"body": "Once"})
    post(f"{number}/attachments/", files={"file": ("plan.txt", b"A plan", "text/plain")})
    return number


def start_workers(exchange):
    for name in WORKERS:
        exchange.start_process(name)
    for name in WORKERS:
        exchange.until_worker_is_ready(name)


def operations(exchange, numbers):
    sql = """
        SELECT c.number, o.sequence, o.operation, o.status, o.tries, o.claimed_until IS NOT NULL
        FROM integrations_outgoingoperation o JOIN changes_change c ON c.id = o.change_id
        WHERE c.number = ANY(%(numbers)s) ORDER BY 1, 2
    """
    return exchange.query(sql, numbers=numbers)


def assert_each_step_once(exchange, desk, numbers):
    """Waits until all is delivered, and looks at what the desk did, and in which order."""

    def is_delivered():
        return {status for _, _, _, status, _, _ in operations(exchange, numbers)} == {"Delivered"}

    exchange.until("all is delivered", is_delivered)
    done = Counter(desk.gate.passed)
    remembered = [(number, *call) for number in numbers for call, is_once in CALLS.items() if is_once]
    assert {name: done[name] for name in remembered} == dict.fromkeys(remembered, 1)
    for number in numbers:
        firsts = dict.fromkeys(kind for about, kind, _ in desk.gate.passed if about == number)
        kinds = [kind for about, kind, _ in desk.gate.passed if about == number]
        assert [*firsts] == ["Assign", "comment", "file"]
        assert kinds == sorted(kinds, key=[*firsts].index)  # none began before the one before it was done
    tickets = [ticket for ticket in desk.tickets.values() if ticket.number in numbers]
    assert sorted(ticket.number for ticket in tickets) == sorted(numbers)
    upload = f"upload-{len(b'A plan')}".encode()
    assert [(t.status, t.comments, t.files) for t in tickets] == [("open", ["Once"], [upload])] * len(numbers)


def test_workers_are_killed_before_each_step(exchange, desk, numbers):
    """Each change waits for another of its calls when all workers die. Others go on behind the steps that succeeded."""
    for name in WORKERS:
        exchange.processes[name].resume()
    exchange.until("each change waits for its call", lambda: desk.gate.has_all)
    for name in WORKERS:
        exchange.kill_process_and_its_children(name)
    desk.gate.open(do=False)
    before = len(desk.gate.passed)
    start_workers(exchange)
    assert_each_step_once(exchange, desk, numbers)
    assert len(desk.gate.passed) - before >= len(CALLS)


def test_workers_that_are_asked_to_end_free_what_is_between_two_steps(exchange, desk, numbers):
    """They write the steps under way. The next worker goes on behind them at once: no lease has to run out."""
    for name in WORKERS:
        exchange.kill_process_and_its_children(name)
    patient = {"DELIVERY_TIMEOUT": "30", "DELIVERY_LEASE": "600"}
    exchange.start_worker("patient", **patient)
    exchange.until("each change waits for its call", lambda: desk.gate.has_all)
    worker = exchange.processes.pop("patient")
    worker.ask_to_stop()
    exchange.until("it has heard", lambda: worker.has_printed("Warm shutdown"))
    desk.gate.open(do=True)
    assert worker.wait() == 0
    left = operations(exchange, numbers)
    assert {row[3:] for row in left} == {("Delivered", 0, False), ("Waiting", 0, False)}
    start_workers(exchange)
    assert_each_step_once(exchange, desk, numbers)
