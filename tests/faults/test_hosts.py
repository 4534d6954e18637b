"""Three hosts share one PostgreSQL, one Redis and the files, two by PgBouncer. One host is lost, then PgBouncer."""

from __future__ import annotations

import pytest

from tests.pgbouncer import PgBouncer
from tests.processes import free_port

from .hosts import Host, start_proxy, web_port
from .stack import DATABASE

pytestmark = pytest.mark.xdist_group("faults")

NAMES = ("two", "three")
# Fewer connections to PostgreSQL than the processes hold.
POOL = 4


@pytest.fixture
def pgbouncer(exchange):
    # As the user of PostgreSQL it must be able to enter the folder.
    running = PgBouncer(exchange.folder.parent / "pgbouncer", exchange.postgresql.folder, DATABASE, POOL)
    yield running
    running.stop()


@pytest.fixture
def hosts(exchange, pgbouncer, tmp_path):
    """Two hosts beside the installation's own, and a proxy before all three, which the clients call."""
    own, port = exchange.base_url, free_port()
    others = {name: Host(exchange, name, pgbouncer.url()) for name in NAMES}
    for host in others.values():
        host.start()
    proxy = start_proxy(tmp_path, port, [web_port(exchange), *(host.port for host in others.values())])
    for host in others.values():
        host.until_ready()
    exchange.base_url = f"http://127.0.0.1:{port}"
    yield others
    exchange.base_url = own
    proxy.stop()
    for host in others.values():
        host.stop()


def test_nothing_is_lost_or_doubled_when_a_host_and_pgbouncer_break(
    exchange, load, since, nothing_is_lost, pgbouncer, hosts, random
):
    def everybody_goes_on():
        marks = work.marks()
        exchange.until("everybody goes on", lambda: work.everybody_did(3, marks))

    with load() as work:
        exchange.until("each host has sent", lambda: all(host.sends() for host in hosts.values()))
        held, lent = pgbouncer.connections()
        lost = hosts[random.choice(NAMES)]
        lost.lose()
        everybody_goes_on()
        pgbouncer.restart()
        everybody_goes_on()
        lost.start()
        lost.until_ready()
        everybody_goes_on()
        exchange.until("it sends again", lost.sends)
    assert nothing_is_lost(work)
    assert lent <= POOL < held
