"""A client of the simulator's API, for scripts: reads what partners received, makes them send, sets their behaviour."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .environment import keep_private
from .http_client import Answer, Api


@dataclass(frozen=True)
class Account:
    """With which an SMAX adapter signs in."""

    username: str
    password: str


def write_config(
    file: Path,
    base_url: str,
    tokens: Mapping[str, str],
    signing_secrets: Mapping[str, str],
    adapters: Mapping[str, Account],
    poll_seconds: float = 10,
) -> None:
    """Writes the configuration file of the simulator, with the partners in `tokens` and `adapters`.

    Those with a token but no signing secret pull. `poll_seconds`: the pause of an SMAX adapter between two polls.
    """
    partners: list[dict[str, Any]] = []
    for name, token in tokens.items():
        way = {"signing_secret": signing_secrets[name]} if name in signing_secrets else {"delivery": "pull"}
        partners.append({"system_id": name, "base_url": base_url, "token": token, **way})
    for name, account in adapters.items():
        known = {"system_id": name, "base_url": base_url, "delivery": "smax", "poll_seconds": poll_seconds}
        partners.append({**known, "username": account.username, "password": account.password})
    keep_private(file, yaml.safe_dump({"partners": partners}, sort_keys=False))


class Simulation:
    """A client of a running simulator. Raises OSError if the simulator answers with an error or not at all."""

    def __init__(self, base_url: str) -> None:
        self._api = Api(base_url)

    def taken(self, system_id: str, change: str) -> list[dict[str, Any]]:
        """The messages about a change that the partner has taken, without repeats, by first arrival."""
        kept = self._good(self._api.get("/api/received", system_id=system_id, change=change))
        return [message for message in kept if message["taken"] and not message["repeat"]]

    def received(self, system_id: str) -> list[dict[str, Any]]:
        """All messages to the partner, including repeats and those that were not taken."""
        return self._good(self._api.get("/api/received", system_id=system_id))

    def send(self, system_id: str, operation: str, key: str | None = None, **fields: object) -> Answer:
        """Sends an operation as this partner, and returns the answer that it got."""
        order: dict[str, Any] = {"body": {"system_id": system_id, "operation": operation, **fields}}
        if key is not None:
            order["idempotency_key"] = key
        answer = self._good(self._api.post(f"/api/partners/{system_id}/send", order))
        return Answer(answer["status"], answer["body"], answer["headers"])

    def behave(self, system_id: str, **behaviour: object) -> None:
        self._good(self._api.put(f"/api/partners/{system_id}/behaviour", behaviour))

    def _good(self, answer: Answer) -> Any:
        if not answer.is_good:
            raise OSError(f"The simulator answered {answer.status}: {answer.body}")
        return answer.body


def until(what: str, condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Waits until `condition()` is true and returns its value. Raises TimeoutError, which names `what`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain until {what}.")
        time.sleep(0.05)
    return value
