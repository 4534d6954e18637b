"""Controls the sink: reads the arrivals, and lets a partner hang."""

from __future__ import annotations

import pickle
import urllib.request

from tests.processes import Process

from .sink import Arrival


class Sink:
    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def endpoint(self, system_id: str) -> str:
        return f"{self.url}/{system_id}"

    def answers(self) -> bool:
        self.process.check_running()
        try:
            self._get("/count")
        except OSError:
            return False
        return True

    def count(self) -> int:
        """The number of messages since the last `take()`."""
        return int(self._get("/count"))

    def take(self) -> list[Arrival]:
        """The messages since the last call, in order of arrival."""
        return [Arrival(*each) for each in pickle.loads(self._get("/taken"))]  # noqa: S301 - from our own child

    def hang(self, system_id: str) -> None:
        """From now on this partner accepts requests but does not answer them."""
        self._get(f"/hang/{system_id}")

    def recover(self) -> None:
        self._get("/recover")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:  # noqa: S310 - our own server
            content: bytes = answer.read()
            return content
