"""The tools of the scenes of `manage.py demo`: calls of the staff, actions of the partners, and expectations."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from integrations.sandbox.local.http_client import Answer, Api
from integrations.sandbox.local.simulation import Simulation, until
from integrations.sandbox.simulator.smax_adapter import SmaxAdapter

Message = dict[str, Any]
PATIENCE = 60

# How messages come to the partners that are not pushed to. The feed of an SMAX adapter has no sequence.
POLLED = "polled"
WAYS = {"DELTA": "collected", "EPSILON": POLLED}
VERBS = {"collected": "collects", POLLED: "polls"}

# The fields that a change requested by alice needs to leave Log.
DESCRIBED = {
    "description": "The core switch in Building A is out of support.",
    "reason": "End of support",
    "justification": "No security updates any more",
    "category": "Network",
    "service": "Campus LAN",
}


class Difference(Exception):  # noqa: N818 - names what was found
    """What happened differs from the rules."""


@dataclass
class Stage:
    """The actors of a scene: alice (a service desk agent), carol (a change manager), and the simulated partners.

    `adapters`: those of partners with an SMAX, for scenes that play one step by step.
    """

    alice: Api
    carol: Api
    partners: dict[str, Api]
    adapters: dict[str, SmaxAdapter]
    simulation: Simulation
    say: Callable[[str], None]
    _told: dict[tuple[str, str], int] = field(default_factory=dict)

    # --- Expecting ---

    def expect(self, is_so: bool, rule: str) -> None:
        """Reports that the rule holds, or raises Difference if `is_so` is False."""
        if not is_so:
            raise Difference(f"This does not hold: {rule}")
        self.say(f"holds: {rule}")

    def good(self, answer: Answer, what: str) -> Any:
        if not answer.is_good:
            raise Difference(f"{what} was answered {answer.status}: {answer.body}")
        return answer.body

    # --- What the staff do ---

    def create(self, title: str, group: str | None = "Network", **fields: object) -> str:
        """Alice creates a change. Returns its number."""
        body = {"title": title, "owning_group": group, **fields}
        number = self.good(self.alice.post("/api/v1/changes/", body), "Creating a change")["number"]
        self.say(f'alice creates {number} "{title}"' + (f" for the group {group}" if group else ""))
        return number

    def edit(self, number: str, **fields: object) -> None:
        self.good(self.alice.patch(f"/api/v1/changes/{number}/", fields), f"Editing {number}")
        self.say(f"alice sets {', '.join(f'{name} of {number} to {value}' for name, value in fields.items())}")

    def move(self, number: str, phase: str) -> None:
        answer = self.alice.post(f"/api/v1/changes/{number}/transitions/", {"phase": phase})
        self.good(answer, f"Moving {number} to {phase}")
        self.say(f"alice moves {number} to {phase}")

    def approve(self, number: str) -> None:
        answer = self.carol.post(f"/api/v1/changes/{number}/approvals/", {"decision": "Approved"})
        self.good(answer, f"Approving {number}")
        self.say(f"carol approves the plan of {number}")

    def comment(self, number: str, body: str, visibility: str = "public") -> None:
        comment = {"body": body, "visibility": visibility}
        self.good(self.alice.post(f"/api/v1/changes/{number}/comments/", comment), f"Commenting on {number}")
        self.say(f'alice adds a {visibility} comment: "{body}"')

    def attach(self, number: str, name: str, content: bytes) -> Message:
        file = io.BytesIO(content)
        file.name = name
        attachment = self.good(self.alice.upload(f"/api/v1/changes/{number}/attachments/", file), f"Attaching {name}")
        self.say(f"alice attaches {name}, {len(content)} bytes")
        return attachment

    def read(self, number: str) -> dict[str, Any]:
        """The change as the staff see it, with its comments and attachments."""
        change = self.good(self.alice.get(f"/api/v1/changes/{number}/"), f"Reading {number}")
        for name in ("comments", "attachments"):
            answer = self.alice.get(f"/api/v1/changes/{number}/{name}/")
            change[name] = self.good(answer, f"Reading the {name} of {number}")["results"]
        return change

    def references(self, number: str) -> dict[str, str]:
        """The external ids of the change, by `system_id`."""
        references = self.read(number)["external_references"]
        return {reference["system_id"]: reference["external_id"] for reference in references}

    # --- What the partners receive and send ---

    def until_received(self, system_id: str, number: str, operations: list[str]) -> list[Message]:
        """Waits until the partner has taken this many operations about the change. Returns their messages.

        Raises Difference unless they are exactly `operations`, in this order, all signed and without a gap.
        """

        def enough() -> list[Message] | None:
            taken = self.simulation.taken(system_id, number)
            return taken if len(taken) >= len(operations) else None

        try:
            taken: list[Message] = until(f"{system_id} has {operations} of {number}", enough, PATIENCE)
        except TimeoutError as error:
            taken = self.simulation.taken(system_id, number)
            raise Difference(f"{error} It has {[message['operation'] for message in taken]}.") from error
        self._tell(system_id, number, taken)
        found = [message["operation"] for message in taken]
        if found != operations:
            raise Difference(f"{system_id} should have received {operations} of {number}, but has {found}.")
        way = WAYS.get(system_id, "valid")
        sequences = [message["sequence"] for message in taken]
        if way != POLLED and sequences != [*range(1, len(taken) + 1)]:
            raise Difference(f"The sequence of {system_id}'s operations has a gap: {sequences}.")
        if {message["signature"] for message in taken} != {way}:
            raise Difference(f"Not every operation to {system_id} was signed, or came in its way.")
        return taken

    def _tell(self, system_id: str, number: str, taken: list[Message]) -> None:
        for message in taken[self._told.get((system_id, number), 0) :]:
            named = f"{message['operation']} {message['sequence'] or ''}".rstrip()
            self.say(f"{system_id} {VERBS.get(message['signature'], 'receives')} {named} of {number}{_about(message)}")
        self._told[system_id, number] = len(taken)

    def until_referenced(self, system_id: str, number: str) -> str:
        """Waits until the partner's answer has filled the external reference. Returns the external id."""
        reference = until(
            f"{number} has a reference to {system_id}", lambda: self.references(number).get(system_id), PATIENCE
        )
        self.say(f"{number} refers to {system_id}'s record {reference}")
        return reference

    def send(self, system_id: str, operation: str, key: str | None = None, **fields: object) -> Answer:
        """The partner sends an operation."""
        answer = self.simulation.send(system_id, operation, key, **fields)
        detail = answer.body.get("detail") if isinstance(answer.body, dict) and not answer.is_good else None
        self.say(f"{system_id} sends {operation}: answered {answer.status}{f', {detail}' if detail else ''}")
        return answer

    def apply(self, system_id: str, operation: str, **fields: Any) -> Message:
        """The partner sends an operation that must be applied. Returns the change in the answer."""
        return self.good(self.send(system_id, operation, **fields), f"{operation} of {system_id}")["change"]


def _about(message: Message) -> str:
    body = message["body"]
    if body.get("comment"):
        return f': "{body["comment"]["body"]}"'
    if body.get("attachment"):
        return f": {body['attachment']['file_name']}, {body['attachment']['size']} bytes"
    changed = body.get("changed_fields", {})
    shown = [name for name in ("owning_group", "completion_code") if name in changed]
    return "".join(f", {name} {changed[name]['old'] or 'none'} -> {changed[name]['new'] or 'none'}" for name in shown)
