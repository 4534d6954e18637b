"""Changes to and fro between two desks of this product, while their processes are killed. In the end both agree."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from tests import services
from tests.conftest import services_for

from .two_desks import Alice, TwoDesks, people

pytestmark = pytest.mark.xdist_group("foreign")

CHANGES = 100
AT_ONCE = 34
GIVEN_BACK = "Change was assigned locally from external system"


@pytest.fixture
def desks(request, new_database):
    environments = {
        name: services_for(request.config, new_database(f"desk_{name}"), services.REDIS_DATABASES - place)
        for name, place in (("a", 3), ("b", 4))
    }
    desks = TwoDesks(services.run_dir() / "two-desks", environments)
    try:
        desks.start("casexchange.yaml", "casexchange-smax.yaml")
        yield desks
    finally:
        desks.stop()


class Story:
    """A change that is created at one desk, and handed to and fro over one link."""

    def __init__(self, desks, number):
        self.title = f"Story {number}"
        self.link = desks.links["push" if number % 2 else "smax"]
        self.home_name, self.away_name = ("a", "b") if number % 4 < 2 else ("b", "a")
        self.home, self.away = getattr(desks, self.home_name), getattr(desks, self.away_name)
        self.has_file, self.is_withdrawn = number % 5 == 0, number % 3 == 0
        self.texts = [f"{self.title}, text {place}." for place in range(1, 5)]

    @property
    def file_name(self):
        return f"Pläne {self.title}.txt"

    @property
    def by_home(self):
        return (self.texts[0], self.texts[2])

    def play(self):
        home, away = Alice(self.home), Alice(self.away)
        away_group, home_group = people(self.link[self.home_name]), people(self.link[self.away_name])
        number = home.create(self.title, away_group)
        home.comment(number, self.texts[0])
        self.until(self.away, self.texts[0])
        there = away.number_of(self.title)
        away.comment(there, self.texts[1])
        away.edit(there, "owning_group", home_group)
        self.until(self.home, self.texts[1])
        self.home.until(f"{self.title} is back", lambda: self.group(self.home) == "Network")
        home.comment(number, self.texts[2])
        if self.has_file:
            home.attach(number, self.file_name, self.content)
        home.edit(number, "owning_group", away_group)
        self.until(self.away, self.texts[2])
        # By SMAX's protocol, what a desk writes of a change says that it has what it was given of it. So over this link
        # a desk takes what the other said before it says more.
        if "B-SMAX" in self.link.values():
            self.away.until(f"{self.title} is away again", lambda: self.group(self.away) == "Network")
        away.comment(there, self.texts[3])
        if self.is_withdrawn:
            self.until(self.home, self.texts[3])
            home.edit(number, "completion_code", "Withdrawn")

    @property
    def content(self):
        return f"Größe: {self.title}".encode()

    def until(self, desk, text):
        said = "SELECT 1 FROM changes_comment WHERE strpos(body, %s) > 0"
        desk.until(f"{desk.name} knows {text!r}", lambda: desk.query(said, text))

    def group(self, desk):
        sql = """SELECT g.name FROM changes_change c LEFT JOIN changes_supportgroup g ON g.id = c.owning_group_id
                 WHERE c.title = %s"""
        return desk.query(sql, self.title)[0][0]

    # --- In the end ---

    def record(self, desk):
        """What there is of the change at a desk, but for the texts that a desk adds by itself."""
        rows = desk.query(
            "SELECT id, number, completion_code, description FROM changes_change WHERE title = %s", self.title
        )
        assert len(rows) == 1, f"{desk.name}: {self.title} is there {len(rows)} times"
        key, number, code, description = rows[0]
        comments = desk.query("SELECT body, source_system FROM changes_comment WHERE change_id = %s ORDER BY id", key)
        references = desk.query(
            """SELECT r.external_id, s.system_id FROM integrations_externalreference r
               JOIN integrations_externalsystem s ON s.id = r.system_id WHERE r.change_id = %s""",
            key,
        )
        files = desk.query("SELECT file_name, size FROM changes_attachment WHERE change_id = %s", key)
        return number, code, description, comments, references, files

    def check(self):
        home, away = self.record(self.home), self.record(self.away)
        for desk_name, own, other in ((self.home_name, home, away), (self.away_name, away, home)):
            partner = self.link[desk_name]
            other_id = str(int(other[0].removeprefix("CHG"))) if partner == "A-SMAX" else other[0]
            assert own[4] == [(other_id, partner)], self.title
            texts = [(text, source) for body, source in own[3] for text in self.texts if text in body]
            is_home = desk_name == self.home_name
            expected = [(text, None if (text in self.by_home) is is_home else partner) for text in self.texts]
            assert texts == expected, f"{desk_name}: {own[3]}"
            given = [source for body, source in own[3] if body == GIVEN_BACK]
            assert given == [partner], f"{desk_name}: {own[3]}"
        assert home[2] == away[2]
        assert home[1] == away[1] == ("Withdrawn" if self.is_withdrawn else None), self.title
        file = [(self.file_name, len(self.content))] * self.has_file
        named = sum("Attached there" in body for body, _ in away[3])
        assert home[5] == file
        assert (away[5], named) == {"B-PUSH": ([], self.has_file), "B-SMAX": ([], 0)}.get(
            self.link["a"] if self.home_name == "a" else "", (file, 0)
        )


def killed(desks, random, is_over):
    """Kills one process after the other like a power cut, and starts it again."""
    victims = [(desk, name) for desk in (desks.a, desks.b) for name in ("worker", "web", "worker")]
    random.shuffle(victims)
    for desk, name in victims:
        if is_over.wait(random.uniform(3, 8)):
            return
        desk.kill_process_and_its_children(name)
        desk.start_process(name)
        if name == "web":
            desk.until("the web server answers again", desk.is_answering)


def polled(desks, is_over):
    while not is_over.wait(1):
        desks.b.poll_now()


def undelivered(desk):
    sql = """SELECT c.title, s.system_id, o.sequence, o.operation, o.status, o.last_error
             FROM integrations_outgoingoperation o JOIN changes_change c ON c.id = o.change_id
             JOIN integrations_externalsystem s ON s.id = o.system_id
             WHERE o.status <> 'Delivered' ORDER BY 1, 2, 3"""
    return desk.query(sql)


def refused(desk):
    sql = """SELECT token, operation, http_status, error, payload FROM integrations_incomingoperation
             WHERE status = 'Failed' AND http_status < 500"""
    return desk.query(sql)


def without_key(desk):
    """The hand-overs over SMAX that could not be told from their repetitions."""
    sql = """SELECT i.payload FROM integrations_incomingoperation i
             JOIN integrations_externalsystem s ON s.id = i.system_id
             WHERE s.system_id = 'B-SMAX' AND i.operation IN ('Create', 'Assign') AND i.idempotency_key IS NULL"""
    return desk.query(sql)


def test_both_ends_agree(desks):
    random = Random(os.environ["FAULTS_SEED"])
    is_played, is_over = threading.Event(), threading.Event()
    stories = [Story(desks, number) for number in range(CHANGES)]
    with ThreadPoolExecutor(AT_ONCE + 2) as pool:
        poller = pool.submit(polled, desks, is_over)
        killer = pool.submit(killed, desks, random, is_played)
        try:
            for played in [pool.submit(story.play) for story in stories]:
                played.result()
            is_played.set()
            killer.result()
            desks.a.until("all is delivered", lambda: not undelivered(desks.a) + undelivered(desks.b), pause=0.5)
        except BaseException as error:
            for desk in (desks.a, desks.b):
                error.add_note(f"{desk.name}: {refused(desk)} {undelivered(desk)}\n{desk.logs(20)}")
            desks.a.is_given_up.set()
            desks.b.is_given_up.set()
            raise
        finally:
            is_played.set()
            is_over.set()
        poller.result()
    for story in stories:
        story.check()
    assert refused(desks.a) + refused(desks.b) == []
    assert without_key(desks.a) == []
