"""Sends a partner's operations to our API and returns the answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from .config import Partner

TIMEOUT = 60


@dataclass(frozen=True)
class Answer:
    """Our API's answer. `body`: JSON values, or text if it is not JSON. `status`: 0 if no answer came."""

    status: int
    headers: dict[str, str]
    body: Any


async def post_operation(session: aiohttp.ClientSession, partner: Partner, body: bytes, key: str | None) -> Answer:
    """POSTs `body` as this partner, with an Idempotency-Key unless `key` is None. HTTP failures give status 0."""
    headers = {"Content-Type": "application/json"}
    if partner.token:
        headers["Authorization"] = f"Bearer {partner.token}"
    if key is not None:
        headers["Idempotency-Key"] = key
    try:
        async with session.post(
            f"{partner.base_url}/api/v1/operations/",
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        ) as answer:
            text = (await answer.read()).decode(errors="replace")
            status, kept = answer.status, {name.title(): value for name, value in answer.headers.items()}
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return Answer(0, {}, f"No answer from {partner.base_url}: {error or type(error).__name__}")
    try:
        return Answer(status, kept, json.loads(text))
    except ValueError:
        return Answer(status, kept, text)
