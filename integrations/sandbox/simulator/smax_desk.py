"""A partner with an SMAX adapter: turns what its adapter reads into messages, and what the partner sends into entities.

The feed has neither ids nor contents: an element only says which record something happened to. So the partner reads the
record, and finds what is new by the comments and files that it knows.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .config import Partner
from .smax_adapter import Element, Refused, SmaxAdapter

Message = dict[str, Any]

# The fields of an operation as the other partners send it, and what an adapter calls them.
PROPERTIES = {
    "title": "DisplayLabel",
    "description": "Description",
    "reason": "ReasonForChange",
    "justification": "Justification",
    "implementation_plan": "ImplementationPlan",
    "backout_plan": "BackoutPlan",
    "category": "Category",
    "service": "AffectsActualService",
    "change_type": "ChangeWorkflowType",
    "phase": "PhaseId",
    "completion_code": "CompletionCode",
    "risk": "RiskAssessment",
    "business_impact": "ImpactScope",
    "urgency": "Urgency",
    "owning_group": "OwnedByGroup.Name",
}
PRIVACY = {"public": "PUBLIC", "private": "INTERNAL"}


def adapter_of(partner: Partner) -> SmaxAdapter:
    return SmaxAdapter(
        partner.base_url,
        partner.username,
        partner.password,
        partner.system_id,
        tenant=partner.tenant,
        entity_type=partner.entity_type,
    )


def number_of(record: str) -> str:
    """The number of a change, as people there know it, from its `Id`."""
    return f"CHG{int(record):07}" if record.isdecimal() else record


@dataclass(frozen=True)
class Told:
    """A message of the feed. `is_again`: it was told by an earlier poll already."""

    message: Message
    is_again: bool


class SmaxDesk:
    """One partner's desk. Its calls block, so they run in a thread; only one at a time may."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.adapter = adapter_of(partner)
        # The operations of each record in the last poll.
        self._last: dict[str, list[str]] = {}
        # Our own comments: when they were written, and what they say.
        self._own: set[tuple[object, str]] = set()

    def poll(self) -> list[Told]:
        """The messages of one poll, in order."""
        of_record: dict[str, list[Element]] = {}
        for element in self.adapter.poll():
            of_record.setdefault(element.id, []).append(element)
        told = [each for record, elements in of_record.items() for each in self._of_record(record, elements)]
        self._last = {record: [each.operation for each in elements] for record, elements in of_record.items()}
        return told

    def _of_record(self, record: str, elements: list[Element]) -> Iterator[Told]:
        seen = _seen(self._last.get(record, []), [each.operation for each in elements])
        for place, element in enumerate(elements):
            base = {
                "system_id": self.partner.system_id,
                "operation": element.operation,
                "change": {"number": number_of(record), "title": element.properties.get("DisplayLabel", "")},
                "external_reference": {"external_id": element.external_id} if element.external_id else None,
            }
            if element.operation != "Update":
                yield Told({**base, "id": str(uuid.uuid4())}, is_again=place < seen)
        if any(each.operation == "Update" for each in elements):
            yield from self._additions(record, base)

    def _additions(self, record: str, base: Message) -> Iterator[Told]:
        """A message for each comment that is not ours, and for each file. Their ids tell which are known."""
        base = {**base, "operation": "Update"}
        for comment in self.adapter.comments(record):
            if (comment.get("CreatedTime"), comment["Body"]) not in self._own:
                said = {"body": comment["Body"]}
                yield Told({**base, "id": f"{record} comment {comment['Id']}", "comment": said}, is_again=False)
        for file in self.adapter.files(record):
            said = {"file_name": file.name, "size": file.size, "content_type": file.content_type}
            yield Told({**base, "id": f"{record} file {file.guid}", "attachment": said}, is_again=False)

    def answer(self, number: str, external_id: str, external_status: str) -> None:
        """Names our record, which an Assign waits for."""
        self.adapter.answer(_record(number), external_id=external_id, external_status=external_status)

    def send(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sends an operation that was written as the other partners send it. Returns the status and the answer."""
        properties = {PROPERTIES.get(name, name): value for name, value in body.get("properties", {}).items()}
        if body.get("change_number"):
            properties["Id"] = _record(body["change_number"])
        named = ("external_id", "ExternalId"), ("external_status", "ExternalStatus")
        ours = {theirs: body[name] for name, theirs in named if body.get(name)}
        comments = [self._comment(said) for said in body.get("comments", ())]
        try:
            done = self.adapter.write(body.get("operation", ""), properties, ours, comments)
        except Refused as refused:
            return refused.status or 400, {"detail": refused.message}
        record = str(done["properties"]["Id"])
        title = properties.get("DisplayLabel", "")
        change = {"number": number_of(record), **({"title": title} if title else {})}
        return 200, {"change": change, "external_reference": {"external_id": body.get("external_id", "")}}

    def _comment(self, said: Mapping[str, Any]) -> dict[str, Any]:
        written = int(time.time() * 1000)
        self._own.add((written, said.get("body", "")))
        privacy = PRIVACY[said.get("visibility", "public")]
        return {"Body": said.get("body", ""), "PrivacyType": privacy, "IsSystem": False, "CreatedTime": written}


def _record(number: str) -> str:
    return str(int(number.removeprefix("CHG"))) if number.removeprefix("CHG").isdecimal() else number


def _seen(before: list[str], now: list[str]) -> int:
    """How many operations of a record, from its first, were in the last poll too.

    What was delivered is missing from the front, and what is new stands at the end.
    """
    return next(
        count for count in range(min(len(before), len(now)), -1, -1) if before[len(before) - count :] == now[:count]
    )
