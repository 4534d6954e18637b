"""Pages from a read replica: which, how fresh, and what happens without it. With a real standby and a web server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from psycopg import Connection

from . import commands, services
from .exchange import Client
from .html_forms import read_form
from .pages import asked_for
from .processes import until
from .services import PostgreSQL
from .standby import DATABASE, Read, ReplicatedExchange

pytestmark = [pytest.mark.any_database, pytest.mark.xdist_group("replica")]

FROM_REPLICA = {
    "/": "changes_change",
    "/changes/": "changes_change",
    "/changes/?q=switch&sort=priority": "changes_comment",
    "/changes/export.csv": "changes_change",
    "/changes/export/history.csv": "changes_historicalchange",
    "/changes/export/comments.csv": "changes_comment",
    "/calendar/": "changes_change",
    "/exchange/": "integrations_outgoingoperation",
    "/exchange/?direction=in": "integrations_incomingoperation",
    "/exchange/log.csv": "integrations_outgoingoperation",
    "/exchange/status/": "integrations_outgoingoperation",
}
FROM_PRIMARY = {
    "/changes/{number}/": "alice",
    "/changes/{number}/edit/": "alice",
    "/changes/?go=1&q={number}": "alice",
    "/changes/new/": "alice",
    "/workflow/": "alice",
    "/preferences/": "alice",
    "/security-log/": "audrey",
    "/exchange/systems/ACME/ping/": "ingrid",
    "/admin/changes/change/": "ingrid",
    "/readyz?checks=database,migrations": "ingrid",
}
RENEWED = ("/", "/exchange/", "/exchange/status/")
LOCKS = "SELECT count(*) > 0 FROM pg_locks WHERE {} AND relation = '{}'::regclass"
# What says who is asking, and what they may do.
ASKED_BEFORE = {"django_session", "auth_permission", "auth_group", "knox_authtoken"}


@pytest.fixture(scope="module")
def desk(new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicatedExchange]:
    new_database("to_replicate")
    folder = services.run_dir() / "replicated"
    dump = tmp_path_factory.mktemp("dump") / "migrated.sql"
    services.dump_postgresql_database("to_replicate", dump)
    desk = ReplicatedExchange(folder, dump)
    try:
        desk.start()
        yield desk
    finally:
        desk.stop()


@pytest.fixture
def number(desk: ReplicatedExchange) -> str:
    """The number of a new change."""
    made = desk.api("alice").post("/api/v1/changes/", json={"title": "Replace the switch", "owning_group": "Network"})
    assert made.status_code == 201, made.text
    return str(made.json()["number"])


@pytest.fixture
def paused(desk: ReplicatedExchange, number: str) -> Iterator[None]:
    """The replica was in use, and has stopped to replay."""
    from_replica(desk, "audrey", "/changes/")
    pause(desk)
    yield
    desk.on(desk.replica, "SELECT pg_wal_replay_resume()")


def pause(desk: ReplicatedExchange) -> None:
    desk.on(desk.replica, "SELECT pg_wal_replay_pause()")
    until("replay is paused", lambda: desk.on(desk.replica, "SELECT pg_get_wal_replay_pause_state()") == "paused")


def from_replica(desk: ReplicatedExchange, username: str, address: str, written: str = "", **headers: str) -> Read:
    """Opens the page until the replica answers. `written`: the cookie, which a browser would drop after a while."""
    pages = desk.pages(username)
    if written:
        pages.cookies.set("written", written)

    def read() -> Read | None:
        found = desk.read(pages, address, headers=headers)
        assert found.answer.status_code == 200, found.answer.text
        return found if found.reason == "fresh" else None

    found = until(f"the replica answers {address}", read, pause=0.1)
    assert found
    return found


def write(pages: Client, number: str, title: str) -> None:
    """Edits the change as a person does."""
    address = f"/changes/{number}/edit/"
    post(pages, address, address, having="title", title=title)


def post(pages: Client, page: str, address: str, having: str = "csrfmiddlewaretoken", **typed: str) -> str:
    """Posts the fields of a form of the page, with those that were typed. Returns where the answer leads."""
    fields = read_form(pages.get(page), having)["fields"]
    answer = pages.post(address, data={**fields, **typed}, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


# --- What is read where ---


@pytest.mark.parametrize(("address", "table"), FROM_REPLICA.items(), ids=[*FROM_REPLICA])
def test_the_replica_answers_what_reads_much_and_the_primary_who_is_asking(desk, number, address, table):
    found = from_replica(desk, "audrey", address)
    assert table in found.replica and table not in found.primary
    assert found.replica & ASKED_BEFORE == set()
    assert "django_session" in found.primary


def test_the_primary_answers_all_else(desk, number):
    from_replica(desk, "ingrid", "/changes/")
    read = {
        address: desk.read(desk.pages(username), address.format(number=number))
        for address, username in FROM_PRIMARY.items()
    }
    read["api"] = desk.read(desk.api("alice"), "/api/v1/changes/")
    # What an open page asks for by itself.
    read |= {
        f"renewed {address}": desk.read(desk.pages("alice"), address, headers=asked_for("old")) for address in RENEWED
    }
    assert [address for address, found in read.items() if found.answer.status_code != 200] == []
    assert [address for address, found in read.items() if found.replica or found.reason] == []
    # What a person types into the search asks for a part of the page, too.
    typed = from_replica(desk, "alice", "/changes/?q=switch", **{"HX-Request": "true"})
    assert "changes_comment" in typed.replica and "<html" not in typed.answer.text


# --- How fresh ---


def test_what_a_person_wrote_is_there_at_once_and_what_others_wrote_within_seconds(desk, number, paused):
    alice, carol = desk.pages("alice"), desk.pages("carol")
    write(alice, number, "Replace the firewall")
    own = desk.read(alice, "/changes/")
    assert "Replace the firewall" in own.answer.text
    assert (own.reason, own.replica) == ("own_write", set())
    until("others see it", lambda: "Replace the firewall" in carol.get("/changes/").text, pause=0.2)
    assert desk.read(carol, "/changes/").reason == "behind"
    desk.on(desk.replica, "SELECT pg_wal_replay_resume()")
    for username in ("alice", "carol"):
        assert "Replace the firewall" in from_replica(desk, username, "/changes/").answer.text


def test_a_browser_keeps_to_the_primary_until_the_replica_has_what_it_wrote(desk, number):
    alice = desk.pages("alice")
    write(alice, number, "Replace the router")
    assert "written" in alice.cookies
    assert "Replace the router" in from_replica(desk, "alice", "/changes/", alice.cookies["written"]).answer.text


def test_a_look_at_a_change_is_a_write_and_a_look_at_the_list_is_none(desk, number):
    carol = desk.pages("carol")
    assert "written" not in carol.get("/changes/").cookies
    assert "written" in carol.get(f"/changes/{number}/").cookies
    assert "written" not in carol.get(f"/changes/{number}/").cookies
    assert not desk.api("alice").patch(f"/api/v1/changes/{number}/", json={"title": "Another"}).cookies


def test_what_a_worker_did_for_a_person_counts_as_theirs_once_the_page_of_the_job_says_so(desk, number):
    alice = desk.pages("alice")
    chosen = post(alice, f"/changes/{number}/", "/changes/bulk/comment/", scope="ticked", change=number)
    job = post(alice, chosen, chosen, preview="1", body="Done", visibility="private")
    post(alice, job, f"{job}start/")
    assert "written" not in desk.pages("alice").get(job).cookies
    post(alice, job, f"{job}stop/")
    assert "written" in desk.pages("alice").get(job).cookies


def test_an_export_from_the_replica_is_that_of_the_primary(desk, number):
    carol = desk.pages("carol")
    carol.cookies.set("written", "FFFFFFFFFFFFFFFF")
    for address in ("/changes/export.csv", "/changes/export/history.csv"):
        there = from_replica(desk, "carol", address).answer
        here = desk.read(carol, address)
        assert here.reason == "own_write" and here.answer.headers["Content-Type"] == there.headers["Content-Type"]
        assert number in there.text and there.text == here.answer.text


@pytest.mark.parametrize("forged", ["0", "FFFFFFFFFFFFFFFF", "x", "-1", "A" * 99])
def test_a_cookie_that_somebody_made_up_does_no_harm(desk, number, forged):
    audrey = desk.pages("audrey")
    audrey.cookies.set("written", forged)
    assert desk.read(audrey, "/changes/").answer.status_code == 200


# --- Without the replica ---


def test_a_page_whose_query_the_replica_cancels_is_read_again_on_the_primary(desk, number):
    """The list reads saved filters and groups in one statement, which holds the first table and waits for the second.

    To replay the lock of the first table, the replica must cancel it.
    """
    audrey = desk.pages("audrey")
    from_replica(desk, "audrey", "/changes/")
    connect = partial(desk.primary.connect, DATABASE)
    with connect() as groups, connect() as filters, ThreadPoolExecutor() as other:
        lock(desk, groups, "changes_supportgroup")
        until("the replica has it", lambda: desk.on(desk.replica, LOCKS.format("granted", "changes_supportgroup")))
        reading = other.submit(desk.read, audrey, "/changes/")
        until("the page waits", lambda: desk.on(desk.replica, LOCKS.format("NOT granted", "changes_supportgroup")))
        lock(desk, filters, "changes_savedfilter")
        until("the replica has cancelled it", lambda: desk.replica.process.has_printed("conflict with recovery"))
        filters.execute("ROLLBACK")
        groups.execute("ROLLBACK")
        found = reading.result()
    assert found.answer.status_code == 200 and number in found.answer.text
    assert found.reason == "cancelled"
    assert "changes_savedfilter" in found.replica & found.primary
    assert desk.read(audrey, "/changes/").reason in ("fresh", "behind")


def lock(desk: ReplicatedExchange, session: Connection[Any], table: str) -> None:
    session.execute("BEGIN")
    session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    desk.on(desk.primary, "SELECT pg_switch_wal()")  # hands the log on, without waiting for a commit


def test_without_the_replica_the_primary_answers_and_a_hanging_one_holds_up_a_page_for_seconds_only(desk, number):
    def failures() -> int:
        return desk.processes["web"].log(10_000).count("since the replica failed")

    alice, before = desk.pages("alice"), failures()
    from_replica(desk, "alice", "/changes/")
    desk.replica.process.pause()
    assert number in alice.get("/changes/").text
    desk.replica.process.resume()
    desk.replica.process.kill_all()
    found = desk.read(alice, "/changes/")
    assert number in found.answer.text and found.reason == "unreachable"
    assert alice.get("/readyz", params={"checks": "database,migrations"}).status_code == 200
    write(alice, number, "Replace the fuse")
    assert "Replace the fuse" in alice.get("/changes/").text
    assert failures() == before + 1
    desk.start_server(desk.replica)
    assert "Replace the fuse" in from_replica(desk, "alice", "/changes/").answer.text


# --- The doctor ---


def said(desk: ReplicatedExchange, server: PostgreSQL, database: str = DATABASE) -> str:
    """What `manage.py doctor` says of this server as the replica."""
    ran = commands.manage("doctor", "--no-color", **desk.environment | {"DATABASE_REPLICA_URL": server.url(database)})
    return "\n".join(re.findall(r"^\w+ +replica: .*\n(?: .*\n)?", ran.stdout + ran.stderr, re.MULTILINE))


def test_the_doctor_says_whether_it_is_a_replica_of_this_database(desk):
    mend = "\n      Let DATABASE_REPLICA_URL lead to a streaming replica of this database"
    standby, primary = desk.replica, desk.primary
    servers = [(standby, DATABASE), (primary, DATABASE), (standby, "postgres")]
    with ThreadPoolExecutor(2) as doctors:
        well, itself, other = doctors.map(lambda server: said(desk, *server), servers)
    assert re.match(r"ok    replica: a standby of the database, \d+ bytes behind", well)
    assert f"wrong replica: It is no standby: it takes writes of its own.{mend}" in itself
    assert f"wrong replica: It is a copy of another database.{mend}" in other


def test_a_replica_that_was_promoted_is_not_read_from(desk, number):
    """The last test: there is no replica after it."""
    audrey = desk.pages("audrey")
    from_replica(desk, "audrey", "/changes/")
    desk.on(desk.replica, "SELECT pg_promote()")
    until("the primary answers", lambda: desk.read(audrey, "/changes/").reason == "unreachable", pause=0.2)
    assert desk.processes["web"].has_printed("since the replica failed: it is no standby")
