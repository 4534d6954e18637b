"""`wait=`: a call that waits for an operation, against the real web server, which has four threads."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed, wait

import pytest
import requests
from django.db import connection

from tests.exchange import Client, RunningExchange
from tests.processes import until

from .conftest import OUTBOX

# More than the threads of the web server.
MANY = 12


@pytest.fixture
def gamma(running_exchange: RunningExchange) -> Client:
    """GAMMA's client. Nothing waits for GAMMA."""
    client = running_exchange.partner_api("GAMMA")
    while left := client.get(OUTBOX, params={"limit": 500}).json()["results"]:
        said = {"operations": [{"id": operation["id"]} for operation in left]}
        assert client.post(f"{OUTBOX}acknowledge/", json=said).status_code == 200
    return client


def give_to_gamma(exchange: RunningExchange, title: str) -> str:
    created = exchange.api("alice").post("/api/v1/changes/", json={"title": title, "owning_group": "GAMMA Cloud"})
    assert created.status_code == 201, created.text
    return created.json()["number"]


def test_many_waiting_calls_hold_up_nobody_and_one_of_them_gets_the_operation(running_exchange, gamma):
    def collect(_number: int) -> list[str]:
        answer = Client(running_exchange.base_url, gamma.headers["Authorization"].split()[1]).get(
            OUTBOX, params={"wait": 15}
        )
        return [operation["change"]["number"] for operation in answer.json()["results"]]

    with ThreadPoolExecutor(MANY) as threads:
        waiting = [threads.submit(collect, number) for number in range(MANY)]
        done, _ = wait(waiting, timeout=1.5)
        assert not done
        number = give_to_gamma(running_exchange, "While they wait")  # itself a call that needs a thread
        # All calls end: one has it, and the others find nothing. Any of them may be the first.
        assert next(each for one in as_completed(waiting, timeout=10) for each in one.result()) == number
        wait(waiting)
    assert sorted(each for one in waiting for each in one.result()) == [number]


def test_a_call_that_nobody_reads_any_more_takes_nothing(running_exchange, gamma):
    left = threading.Event()

    def leave() -> None:
        try:
            gamma.get(OUTBOX, params={"wait": 20}, timeout=1)
        except requests.ReadTimeout:
            left.set()

    leave()
    assert left.is_set()
    number = give_to_gamma(running_exchange, "After it left")
    found = until(
        "the operation is there for the next", lambda: gamma.get(OUTBOX, params={"wait": 5}).json()["results"]
    )
    assert [operation["change"]["number"] for operation in found] == [number]


def test_the_wait_ends_without_an_operation(gamma):
    answer = gamma.get(OUTBOX, params={"wait": 1})
    assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.django_db(transaction=True)
def test_a_server_that_cannot_let_go_of_its_thread_waits_in_it(reader, given):
    """Any WSGI server may run the product: there the call keeps its thread, but no database connection."""
    own = reader()

    def give() -> None:
        given("Router")
        connection.close()

    later = threading.Timer(0.5, give)
    later.start()
    assert own.names(wait=10) == ["Assign 1 of Router"]
    later.join()
