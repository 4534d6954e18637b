"""The running simulator: the partners, their records, the journal, and the current behaviour of each partner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from integrations.transports import signing

from .behaviour import AT_THE_DOOR, DEAF, Behaviour, Mode
from .client import Answer, post_operation
from .config import SMAX, Partner
from .desk import Event, PlayedDesk
from .journal import Journal
from .smax_adapter import Refused
from .smax_desk import SmaxDesk


@dataclass(frozen=True)
class Receipt:
    """What to answer to a message: an error, or the partner's record in the way that `behaviour` says."""

    status: int
    content: dict[str, Any]
    behaviour: Behaviour


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Simulator:
    """Receives messages for all partners, and sends operations as one of them."""

    def __init__(self, partners: Mapping[str, Partner], journal_path: Path, base_url: str) -> None:
        self.partners = partners
        self.journal = Journal(journal_path)
        self.desk = PlayedDesk(base_url)
        self.desk.replay(self.journal.events())
        self._behaviours: dict[str, Behaviour] = {}
        self._session: aiohttp.ClientSession | None = None
        # For each partner that collects: in words, when it last asked, or why it could not.
        self.asked: dict[str, str] = {}
        self.smax_desks = {name: SmaxDesk(each) for name, each in partners.items() if each.delivery == SMAX}
        # An adapter makes one call at a time.
        self.smax_lock = asyncio.Lock()

    @property
    def session(self) -> aiohttp.ClientSession:
        """Of the loop that runs now."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    # --- Behaviour ---

    def behaviour(self, system_id: str) -> Behaviour:
        return self._behaviours.get(system_id, Behaviour())

    def behave(self, system_id: str, behaviour: Behaviour) -> None:
        """Sets a partner's behaviour. Raises ValueError if the partner lacks the port or certificate that it needs."""
        partner = self.partners[system_id]
        if behaviour.mode in AT_THE_DOOR and not partner.port:
            raise ValueError(f"{behaviour.mode}: {system_id} has no port of its own.")
        if behaviour.mode == Mode.EXPIRED and not partner.expired_certificate:
            raise ValueError(f"{behaviour.mode}: {system_id} has no expired_certificate.")
        self._behaviours[system_id] = behaviour

    def next_behaviour(self, system_id: str) -> Behaviour:
        behaviour = self.behaviour(system_id)
        self._behaviours[system_id] = behaviour.after_one()
        return behaviour

    # --- Receiving ---

    def receive(self, raw: bytes, headers: Mapping[str, str]) -> Receipt:
        """Checks a message, stores it, and returns what to answer."""
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            return _error(400, "This is not JSON.")
        if not isinstance(body, dict) or not isinstance(body.get("system_id"), str):
            return _error(400, "A message is an object that names its system_id.")
        partner = self.partners.get(body["system_id"])
        signature = _check_signature(partner, raw, headers)
        if partner is None or signature == "invalid":
            self.keep(body, signature, Behaviour(), "401", takes=False)
            return _error(401, "The signature was not made with this partner's secret.")
        if not body.get("id") or headers.get("webhook-id", body["id"]) != body["id"]:
            self.keep(body, signature, Behaviour(), "400", takes=False)
            return _error(400, "The webhook-id is not the id of the message.")
        behaviour = self.next_behaviour(partner.system_id)
        if behaviour.mode in DEAF:
            return Receipt(0, {}, behaviour)
        event = self.keep(body, signature, behaviour, _planned(behaviour))
        record = self.desk.record(partner.system_id, event["external_id"])
        return Receipt(200, record.answer if record else {}, behaviour)

    def keep(
        self, body: Mapping[str, Any], signature: str, behaviour: Behaviour, answered: str, takes: bool | None = None
    ) -> Event:
        """Stores a message that came. `signature`: whether it was signed, or how else it came."""
        takes = behaviour.takes if takes is None else takes
        event = self.desk.receive(body, signature=signature, takes=takes, answered=answered, at=_now())
        self.journal.append(event)
        return event

    # --- Sending ---

    async def send(self, system_id: str, raw: bytes, body: Mapping[str, Any], key: str | None) -> tuple[Event, Answer]:
        """Sends `raw` as this partner. `body`: the same as JSON values, {} if it is not a JSON object.

        An SMAX adapter sends what `body` says as its entity, without a key.
        """
        if system_id in self.smax_desks:
            answer = await self._write(self.smax_desks[system_id], body)
        else:
            answer = await post_operation(self.session, self.partners[system_id], raw, key)
        event = self.desk.send(system_id, body, key=key, status=answer.status, answer=answer.body, at=_now())
        self.journal.append(event)
        return event, answer

    async def _write(self, desk: SmaxDesk, body: Mapping[str, Any]) -> Answer:
        async with self.smax_lock:
            try:
                status, said = await asyncio.to_thread(desk.send, body)
            except (OSError, Refused) as error:
                return Answer(0, {}, f"No answer from {desk.partner.base_url}: {error}")
        return Answer(status, {}, said)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        self.journal.close()


def _error(status: int, detail: str) -> Receipt:
    return Receipt(status, {"detail": detail}, Behaviour())


def _check_signature(partner: Partner | None, raw: bytes, headers: Mapping[str, str]) -> str:
    """`valid`, `invalid`, or `not asked for` if the partner has no secret."""
    if partner is not None and not partner.signing_secret:
        return "not asked for"
    secret = partner.signing_secret if partner else ""
    signed = {name.lower(): value for name, value in headers.items()}
    return "valid" if secret and signing.is_signed_by(secret, raw, signed) else "invalid"


def _planned(behaviour: Behaviour) -> str:
    if behaviour.mode == Mode.ANSWER:
        return str(behaviour.status)
    other = {
        Mode.REDIRECT: "302",
        Mode.HANG_UP: "hung up",
        Mode.RESET: "reset",
        Mode.SWITCH: "101",
    }
    return other.get(behaviour.mode, "200")


SIMULATOR = web.AppKey("simulator", Simulator)
