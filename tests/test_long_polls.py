"""The calls of one process that wait for news: how many may wait, and who is woken."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from casexchange.web import long_polling
from casexchange.web.long_polling import LongPolls
from changes.waiting import CALLS, PAGES, Wait

pytestmark = pytest.mark.any_database
# Far longer than the test takes: whoever is answered before did not wait.
LONG = 60


def waiting(ready, *owners):
    """Lets a call of each owner wait. Returns the owners of those that are answered at once or by news.

    The calls of owners whose names begin with "page" are those of open pages.
    """

    async def run():
        with ThreadPoolExecutor(1) as threads:
            polls = LongPolls(threads)
            calls = {
                asyncio.create_task(polls.wait(Wait(number, owner, LONG, ready, most=3, share=share_of(owner)))): owner
                for number, owner in enumerate(owners)
            }
            done, others = await asyncio.wait(calls, timeout=1)
            for call in others:
                call.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            assert not polls._of_owner
            return sorted(calls[call] for call in done)

    # In a thread of its own: a browser of another test may keep a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def share_of(owner):
    return PAGES if owner.startswith("page") else CALLS


def nothing(keys):
    return []


def broken(keys):
    raise RuntimeError("the database is away")


@pytest.mark.parametrize(
    ("ready", "owners", "answered"),
    [
        (nothing, ["ACME"] * 2, []),
        (nothing, ["ACME"] * 4 + ["BETA"], ["ACME"]),  # the fourth call of ACME
        (nothing, ["ACME"] * 3 + ["BETA"] * 3, ["BETA"]),  # the sixth of all
        (lambda keys: keys[:1], ["ACME", "BETA"], ["ACME", "BETA"]),  # one after the other
        (broken, ["ACME"], ["ACME"]),
    ],
)
def test_who_waits_and_who_is_answered(monkeypatch, ready, owners, answered):
    monkeypatch.setitem(long_polling.MOST, CALLS, 5)
    assert waiting(ready, *owners) == answered


@pytest.mark.parametrize(
    ("owners", "answered"),
    [
        (["page 1"] * 3 + ["page 2"] * 2 + ["ACME"] * 2, ["page 2"]),  # pages have two places of their own
        (["ACME"] * 2 + ["BETA"] * 2 + ["page 1"] * 3, ["BETA"]),
    ],
)
def test_pages_and_partners_do_not_take_each_others_places(monkeypatch, owners, answered):
    places = {name: owners.count(name) for name in owners}
    pages = sum(count for name, count in places.items() if name.startswith("page"))
    monkeypatch.setitem(long_polling.MOST, PAGES, min(pages, 4))
    monkeypatch.setitem(long_polling.MOST, CALLS, 3)
    assert waiting(nothing, *owners) == answered
