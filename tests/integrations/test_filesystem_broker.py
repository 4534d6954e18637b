"""The embedded broker: what is sent while somebody reads arrives whole, and once."""

import threading

import pytest
from kombu import Connection

MESSAGES = 100
# Long enough that a reader meets a message that is being written.
PADDING = [*range(5000)]


@pytest.fixture
def connect(tmp_path):
    """Opens connections to one broker of files, through the address that the settings use.

    Each test has queues of its own: kombu remembers for the whole process what is bound.
    """
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
    }
    opened = []

    def connect():
        opened.append(Connection("filesystem://localhost/", transport_options=options))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.release()


def test_messages_that_are_read_while_they_are_written_arrive_whole_and_once(connect):
    def send(sender):
        queue = connect().SimpleQueue("work")
        for number in range(MESSAGES):
            queue.put({"sender": sender, "number": number, "padding": PADDING})

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(2)]
    for thread in threads:
        thread.start()
    queue = connect().SimpleQueue("work")
    received = []
    while len(received) < 2 * MESSAGES:
        message = queue.get(timeout=30)
        received.append((message.payload["sender"], message.payload["number"]))
        message.ack()
    for thread in threads:
        thread.join()
    assert sorted(received) == [(sender, number) for sender in range(2) for number in range(MESSAGES)]


def test_a_draft_is_no_message(connect, tmp_path):
    (tmp_path / "queue" / "1_0123.other.msg.4567.draft").write_text('{"bo')
    queue = connect().SimpleQueue("other")
    queue.put({"number": 1})
    assert queue.get(timeout=5).payload == {"number": 1}
    with pytest.raises(queue.Empty):
        queue.get(block=False)


def test_queues_that_are_bound_at_once_are_all_bound(connect, tmp_path):
    threads = [threading.Thread(target=lambda n=n: connect().SimpleQueue(f"work{n}").put({"n": n})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [connect().SimpleQueue(f"work{n}").get(timeout=5).payload for n in range(8)] == [{"n": n} for n in range(8)]
