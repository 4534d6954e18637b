"""The simulated partner of both sides: `python -m bench.sink --port PORT`.

Answers each POST with 200 and the id of its record of that change, as a partner's desk does, and stores the message
with its time. The benchmark controls it: `GET /taken` returns the stored messages as a pickle and forgets them,
`GET /count` returns their number. After `GET /hang/PATH` a POST to `/PATH` gets no answer, until `GET /recover`.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import time
from typing import NamedTuple, cast

from .http_messages import Messages, header

_NUMBER = b'"number":"'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Arrival(NamedTuple):
    """One POST. `moment` is time.monotonic(), which is the same clock for all processes of this machine."""

    moment: float
    head: bytes
    body: bytes

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str:
        return (header(self.head, name.encode()) or b"").decode()


class State:
    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.hanging = b""


class Connection(asyncio.Protocol):
    """One connection. Its requests come one after the other."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._messages = Messages()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for head, body in self._messages.feed(data):
            if head.startswith(b"POST"):
                self._take(head, body)
            else:
                content = self._control(head.split(b" ", 2)[1].decode())
                self._transport.write(_ANSWER % (len(content), content))

    def _take(self, head: bytes, body: bytes) -> None:
        state = self._state
        state.arrivals.append(Arrival(time.monotonic(), head, body))
        path = head.split(b" ", 2)[1]
        if path == state.hanging:
            return
        begin = body.find(_NUMBER) + len(_NUMBER)
        content = b'{"external_id":"%s-%s"}' % (path[1:], body[begin : body.find(b'"', begin)])
        self._transport.write(_ANSWER % (len(content), content))

    def _control(self, path: str) -> bytes:
        state = self._state
        if path == "/count":
            return str(len(state.arrivals)).encode()
        if path == "/taken":
            taken, state.arrivals = state.arrivals, []
            return pickle.dumps([tuple(arrival) for arrival in taken])
        if path.startswith("/hang/"):
            state.hanging = path.removeprefix("/hang").encode()
            return b"{}"
        if path == "/recover":
            state.hanging = b""
            return b"{}"
        raise ValueError(path)


async def serve(port: int) -> None:
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", port, backlog=1000)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
