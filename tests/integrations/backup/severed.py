"""A way to PostgreSQL that breaks at the COMMIT of psql, as if the server had been lost at that moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

# As psql sends it. Django's has no semicolon.
COMMIT = b"COMMIT;\x00"


class Severed:
    """Passes on to the server's socket. With `passes_commit` the server gets the COMMIT, and nobody its answer."""

    def __init__(self, server: Path, passes_commit: bool) -> None:
        self._server, self._passes_commit = server, passes_commit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.is_cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(str(self._server))
                self._connections += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_client: bool) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                if is_client and COMMIT in content:
                    self._cut(target if self._passes_commit else None, content)
                    return
                target.sendall(content)
        # The server must see that its client has ended: only then does it end the session.
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _cut(self, server: socket.socket | None, content: bytes) -> None:
        """Nobody reaches the server any more. `server`: the connection on which the COMMIT still arrives."""
        _end(self._listener)
        for each in self._connections:
            if each is not server:
                _end(each)
        if server is not None:
            server.sendall(content)
            server.shutdown(socket.SHUT_WR)
        self.is_cut.set()

    def close(self) -> None:
        for each in (self._listener, *self._connections):
            _end(each)


def _end(connection: socket.socket) -> None:
    # Closing alone would not wake a thread that waits for it.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
