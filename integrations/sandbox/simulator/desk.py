"""The state of the simulated partners. Pure: no HTTP, no clock, no files.

Everything that happens is an event (a plain dict). Only `apply()` changes the state, so replaying the stored events
restores the same state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]

# The status of the partner's record after a message to the partner, and after an operation that the partner sent.
STATUS_AFTER = {"Assign": "Assigned", "Accept": "Returned", "Cancel": "Cancelled"}
STATUS_AFTER_SENT = {"Assign": "Assigned", "Reject": "Rejected", "Cancel": "Cancelled"}
REJECTED = "Rejected"


@dataclass
class Record:
    """The partner's own record of one of our changes. `change_number` is empty until the partner knows it."""

    system_id: str
    external_id: str
    external_url: str
    external_status: str = "New"
    change_number: str = ""
    title: str = ""

    @property
    def answer(self) -> dict[str, str]:
        """The fields of the record that the partner answers with."""
        return {
            "external_id": self.external_id,
            "external_url": self.external_url,
            "external_status": self.external_status,
        }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _part(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


class PlayedDesk:
    """The records of all simulated partners, and all messages in both directions, in order."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.received: list[Event] = []
        self.sent: list[Event] = []
        self._records: dict[tuple[str, str], Record] = {}
        self._taken: dict[tuple[str, str], str] = {}

    # --- Reading ---

    def records(self, system_id: str | None = None, change: str | None = None) -> list[Record]:
        return [
            record
            for record in self._records.values()
            if system_id in (None, record.system_id) and change in (None, record.change_number)
        ]

    def record(self, system_id: str, external_id: str) -> Record | None:
        return self._records.get((system_id, external_id))

    def messages(self, system_id: str | None = None, change: str | None = None) -> list[Event]:
        """The received messages, oldest first, including repeats."""
        return [
            message
            for message in self.received
            if system_id in (None, message["system_id"]) and change in (None, message["change_number"])
        ]

    def sequence(self, system_id: str, change: str) -> list[Event]:
        """The taken messages about one change, without repeats, in the order of their first arrival."""
        return [message for message in self.messages(system_id, change) if message["taken"] and not message["repeat"]]

    def has_taken(self, system_id: str, message_id: str) -> bool:
        return (system_id, message_id) in self._taken

    # --- What happens ---

    def receive(self, body: Mapping[str, Any], *, signature: str, takes: bool, answered: str, at: str) -> Event:
        """Stores one message. The event says whether it is a repeat, and which record it is about."""
        system_id, message_id = _text(body.get("system_id")), _text(body.get("id"))
        event = {
            "event": "received",
            "number": len(self.received) + 1,
            "at": at,
            "system_id": system_id,
            "id": message_id,
            "operation": _text(body.get("operation")),
            "sequence": body.get("sequence"),
            "change_number": _text(_part(body.get("change")).get("number")),
            "signature": signature,
            "answered": answered,
            "taken": takes,
            "repeat": self.has_taken(system_id, message_id),
            "external_id": "",
            "body": body,
        }
        if event["repeat"]:
            event["external_id"] = self._taken[system_id, message_id]
        elif takes:
            event["external_id"] = self._record_for(event)
        self.apply(event)
        return event

    def send(
        self,
        system_id: str,
        body: Mapping[str, Any],
        *,
        key: str | None,
        status: int,
        answer: object,
        at: str,
    ) -> Event:
        """Stores one operation that a partner sent, and our answer (status 0: none)."""
        event = {
            "event": "sent",
            "number": len(self.sent) + 1,
            "at": at,
            "system_id": system_id,
            "operation": _text(body.get("operation")),
            "external_id": _text(body.get("external_id")),
            "change_number": _text(_part(_part(answer).get("change")).get("number") or body.get("change_number")),
            "idempotency_key": key,
            "status": status,
            "body": _without_content(body),
            "answer": answer,
        }
        self.apply(event)
        return event

    def replay(self, events: Iterable[Event]) -> None:
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        if event["event"] == "received":
            self.received.append(event)
            if event["taken"] and not event["repeat"]:
                self._taken[event["system_id"], event["id"]] = event["external_id"]
                self._note_received(event)
        else:
            self.sent.append(event)
            if 200 <= event["status"] < 300:
                self._note_sent(event)

    # --- Records ---

    def new_id(self, system_id: str) -> str:
        """The partner's next free record number."""
        number = 1001 + len(self.records(system_id))
        while (system_id, f"{system_id}-{number}") in self._records:
            number += 1
        return f"{system_id}-{number}"

    def url(self, system_id: str, external_id: str) -> str:
        return f"{self.base_url}/records/{system_id}/{external_id}"

    def _record_for(self, event: Event) -> str:
        """The id of the record that a message is about; a new id if the partner has no record."""
        system_id, change = event["system_id"], event["change_number"]
        named = _text(_part(event["body"].get("external_reference")).get("external_id"))
        if named:
            return named
        open_records = [record for record in self.records(system_id, change) if record.external_status != REJECTED]
        return open_records[-1].external_id if open_records else self.new_id(system_id)

    def _open(self, system_id: str, external_id: str) -> Record:
        if (record := self.record(system_id, external_id)) is None:
            record = Record(system_id, external_id, self.url(system_id, external_id))
            self._records[system_id, external_id] = record
        return record

    def _note_received(self, event: Event) -> None:
        record = self._open(event["system_id"], event["external_id"])
        record.change_number = event["change_number"] or record.change_number
        record.title = _text(_part(event["body"].get("change")).get("title")) or record.title
        record.external_status = STATUS_AFTER.get(event["operation"], record.external_status)

    def _note_sent(self, event: Event) -> None:
        answer, body = _part(event["answer"]), event["body"]
        external_id = event["external_id"] or _text(_part(answer.get("external_reference")).get("external_id"))
        if not external_id and event["change_number"]:
            known = self.records(event["system_id"], event["change_number"])
            external_id = known[-1].external_id if known else ""
        if not external_id:
            return
        record = self._open(event["system_id"], external_id)
        record.change_number = event["change_number"] or record.change_number
        record.title = _text(_part(answer.get("change")).get("title")) or record.title
        record.external_url = _text(body.get("external_url")) or record.external_url
        record.external_status = (
            _text(body.get("external_status")) or STATUS_AFTER_SENT.get(event["operation"]) or record.external_status
        )


def _without_content(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body to store, with the length of each attachment instead of its content."""
    attachments = body.get("attachments")
    if not isinstance(attachments, list):
        return dict(body)
    short = [
        {**item, "content_base64": f"({len(_text(item.get('content_base64')))} characters)"}
        if isinstance(item, dict)
        else item
        for item in attachments
    ]
    return {**body, "attachments": short}
