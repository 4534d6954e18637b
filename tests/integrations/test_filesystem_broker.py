"""The embedded broker: a message that is sent while another process reads arrives completely, and once."""

import threading

import pytest
from kombu import Connection

MESSAGES = 100


@pytest.fixture
def connect(tmp_path):
    """Opens connections to one file broker, through the address of the settings.

    Each test needs its own queue names, since kombu remembers bindings for the whole process.
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
    queue = connect().SimpleQueue("work")

    def send(sender):
        out = connect().SimpleQueue("work")
        for number in range(MESSAGES):
            out.put({"sender": sender, "number": number})

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(2)]
    for thread in threads:
        thread.start()
    received = []
    while len(received) < 2 * MESSAGES:
        message = queue.get(timeout=30)
        received.append((message.payload["sender"], message.payload["number"]))
        message.ack()
    for thread in threads:
        thread.join()
    assert sorted(received) == [(sender, number) for sender in range(2) for number in range(MESSAGES)]


def test_a_message_that_is_being_written_is_not_read(connect):
    reader, found = connect().SimpleQueue("other"), []

    class Look:
        def __json__(self):
            # Called while the broker writes the message that contains this object.
            try:
                found.append(reader.get(block=False))
            except reader.Empty:
                found.append("nothing")
            return "looked"

    connect().SimpleQueue("other").put({"number": 1}, headers={"look": Look()})
    assert found == ["nothing"]
    assert reader.get(timeout=5).payload == {"number": 1}
    with pytest.raises(reader.Empty):
        reader.get(block=False)


def test_queues_that_are_bound_at_once_are_all_bound(connect, tmp_path):
    threads = [threading.Thread(target=lambda n=n: connect().SimpleQueue(f"work{n}").put({"n": n})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [connect().SimpleQueue(f"work{n}").get(timeout=5).payload for n in range(8)] == [{"n": n} for n in range(8)]
