"""A partner that pulls: asks our API for its operations by long polling, and acknowledges them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from .config import Partner

# Seconds that our API may keep a call that has nothing to answer yet.
WAIT = 25
LIMIT = 100


class NotAnswered(Exception):  # noqa: N818 - names what happened
    """A call was not answered well. The message says how it was answered."""


@dataclass(frozen=True)
class Collected:
    """What one call got. `cursor`: for the next one, "" for none."""

    operations: Sequence[Mapping[str, Any]]
    cursor: str


class Puller:
    """The calls of one partner. `operations` are the same messages as a partner gets that is pushed to."""

    def __init__(self, session: aiohttp.ClientSession, partner: Partner) -> None:
        self._session = session
        self._partner = partner

    async def collect(self, cursor: str = "", wait: int = WAIT, limit: int = LIMIT) -> Collected:
        """Waits up to `wait` seconds for operations. Raises NotAnswered."""
        query = {"wait": str(wait), "limit": str(limit), "system_id": self._partner.system_id}
        said = await self._call("GET", "/api/v1/outbox/", params={**query, **({"after": cursor} if cursor else {})})
        return Collected(said["results"], said["cursor"] or "")

    async def acknowledge(self, said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Says what became of operations: for each its `id`, and the fields of our record or `refused`."""
        answer = await self._call("POST", "/api/v1/outbox/acknowledge/", data=json.dumps({"operations": [*said]}))
        return answer["results"]

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._partner.token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=WAIT + 30)
        try:
            async with self._session.request(
                method,
                self._partner.base_url + path,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
                **options,
            ) as answer:
                text = (await answer.read()).decode(errors="replace")
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotAnswered(f"no answer: {error or type(error).__name__}") from error
        if status != 200:
            raise NotAnswered(f"answered {status}: {text[:200]}")
        return json.loads(text)
