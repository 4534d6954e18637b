"""The preset for `webhook`, against `webhook`: it is called by a hook, and tells its news with a signature."""

from __future__ import annotations

import pytest

from .partnership import FILE_NAME, Partnership
from .play import OPENED, given, goes_there_and_back, news_comes, signed

pytestmark = pytest.mark.xdist_group("foreign")


@pytest.fixture(scope="module")
def partnership(exchange, webhook_server):
    partnership = Partnership(exchange, webhook_server, "HOOKS", polls=False)
    secrets = {"HOOK_TOKEN": webhook_server.token, "HOOK_SECRET": webhook_server.secret}
    partnership.connect("webhook.yaml", {"https://hooks.example.com": webhook_server.url}, secrets)
    webhook_server.inbox = f"{exchange.base_url}/api/v1/inbox/HOOKS/"
    return partnership


def test_a_change_and_a_record(partnership, webhook_server):
    number, record = given(partnership)
    partnership.until("the file is named", lambda: len(webhook_server.texts(record)) == 2)
    comment, file = webhook_server.texts(record)
    assert comment == signed("alice")
    assert file.startswith(f"{FILE_NAME} {partnership.exchange.base_url}/api/v1/attachments/")
    other, opened = news_comes(partnership, number, record, "waiting")
    goes_there_and_back(partnership, number, record, "done", "cancelled")
    assert webhook_server.texts(record) == [comment, file, "Ja, morgen früh."]
    assert [body for author, body in partnership.comments(number) if author == partnership.author] == [
        "Ja, morgen früh."
    ]
    assert len(partnership.comments(number)) == 2
    assert (partnership.comments(other), webhook_server.texts(opened)) == ([], ["Er ist zu heiß."])
    assert partnership.count(f"{OPENED} {partnership.system_id}") == 1


def test_what_is_signed_with_another_secret_is_refused(partnership, webhook_server):
    webhook_server.sign_with("another")
    with pytest.raises(AssertionError, match=r"401.*not verified"):
        webhook_server.open("Not from them", "")
    webhook_server.sign_with(webhook_server.secret)
    webhook_server.open("From them", "")
    assert (partnership.count("Not from them"), partnership.count("From them")) == (0, 1)
