"""An upgrade restarts one process after the other, while people and partners work."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import requests

from tests.exchange import PULLING
from tests.processes import free_port

from .hosts import start_proxy, web_port
from .stack import WORKERS

pytestmark = pytest.mark.xdist_group("faults")

# What a process prints once it works.
BACK = {"wor": " ready.", "web": "Started worker"}
# An operation that was claimed and not tried: its worker took it and did not finish.
UNFINISHED = """
    SELECT o.id, o.claim FROM integrations_outgoingoperation o WHERE o.change_id > %(since)s
    AND o.claim <> (SELECT count(*) FROM integrations_deliveryattempt a WHERE a.operation_id = o.id)
"""


@pytest.fixture
def behind_a_proxy(exchange, tmp_path):
    """A second web server, and our nginx before both, which the clients call. `restart(name)` restarts a process."""
    own, port, first, second = exchange.base_url, free_port(), web_port(exchange), free_port()
    commands = exchange.commands()
    commands["web2"] = [word.replace(str(first), str(second)) for word in commands["web"]]
    exchange.start_command("web2", commands["web2"])
    proxy = start_proxy(tmp_path, port, [first, second])

    def restart(name: str) -> None:
        exchange.processes[name].stop()
        exchange.start_command(name, commands[name])
        exchange.until(f"{name} is back", lambda: exchange.processes[name].has_printed(BACK[name[:3]]))

    exchange.base_url = f"http://127.0.0.1:{port}"
    exchange.until("the proxy and both web servers answer", exchange.is_answering)
    yield restart
    exchange.base_url = own
    proxy.stop()
    exchange.processes.pop("web2").stop()


def test_a_rolling_restart_loses_and_doubles_nothing(exchange, load, since, nothing_is_lost, behind_a_proxy):
    with load() as work:
        for name in (*WORKERS, "web", "web2"):
            behind_a_proxy(name)
    assert nothing_is_lost(work)
    # A POST may reach a server in the moment in which it closes its connections. The proxy does not send it once more.
    assert [failure for failure in work.failures if ": 502 " not in failure] == []
    assert len(work.failures) <= 2
    assert exchange.query(UNFINISHED, since=since) == []


def test_a_web_server_that_is_stopped_answers_those_who_wait_for_news(exchange):
    """It would otherwise be away for as long as they may wait."""
    port, answers = free_port(), []
    exchange.start_command(
        "web2", [word.replace(str(web_port(exchange)), str(port)) for word in exchange.commands()["web"]]
    )
    client = exchange.partner_api(PULLING)
    client.base_url = f"http://127.0.0.1:{port}"
    exchange.until("it answers", lambda: _answers(client))
    waiting = threading.Thread(target=lambda: answers.append(client.get("/api/v1/outbox/", params={"wait": 30})))
    waiting.start()
    exchange.until("its call waits", lambda: is_established(port))
    time.sleep(1)
    exchange.stop_process("web2")  # which kills it after 15 seconds
    waiting.join(5)
    assert [(answer.status_code, answer.json()["results"]) for answer in answers] == [(200, [])]


def _answers(client):
    try:
        return client.get("/healthz").ok
    except requests.ConnectionError:
        return False


def is_established(port):
    """Whether a client is connected to this port."""
    wanted = f"0100007F:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[1] == wanted and line[3] == "01" for line in lines)
