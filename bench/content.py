"""The content of the benchmarks: one realistic change and one comment, the same for both sides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

SYSTEMS = [f"PARTNER{number:02}" for number in range(10)]
LOCAL_GROUP = "Network"
AGENTS = [f"agent{number:02}" for number in range(10)]
PROPERTIES = {
    "title": "Replace the access switches in building A, third floor",
    "description": "The access switches are end of support in March and get no more security updates. Sixteen devices "
    "in four rooms are replaced by the present model, with the same port plan and the same uplinks.",
    "change_type": "Normal",
    "category": "Network",
    "service": "Campus LAN",
    "reason": "Security updates have ended for this model.",
    "justification": "Two of these switches failed in the last quarter; spare parts can no longer be bought.",
    "risk": "Medium",
    "business_impact": "SiteOrDepartment",
    "urgency": "SlightDisruption",
    "implementation_plan": "Mount and cable the new switches in parallel, move the ports floor by floor after 18:00, "
    "check telephones and printers, hand over to the service desk at 22:00.",
    "backout_plan": "The old switches stay in the rack for a week. Move the patch cables back.",
    "planned_start": "2026-12-01T18:00:00Z",
    "planned_end": "2026-12-01T22:00:00Z",
    "owning_group": LOCAL_GROUP,
}
COMMENT = "The new switches have arrived and are in the rack of room A 3.17. Cabling begins on Tuesday at 18:00."


def external_group(system_id: str) -> str:
    return f"{system_id} Networks"


def authorized_user(system_id: str) -> str:
    return f"{system_id.lower()}-integration"


def next_partner(system_id: str) -> str:
    """The partner to which this partner hands over its changes."""
    return SYSTEMS[(SYSTEMS.index(system_id) + 1) % len(SYSTEMS)]


def create_operations(system_id: str, group: str = LOCAL_GROUP) -> Iterator[tuple[str, bytes]]:
    """Endless `Create` operations of one partner into `group`, each with its idempotency key."""
    operation = {
        "system_id": system_id,
        "operation": "Create",
        "external_id": "{external_id}",
        "external_url": "https://desk.partner.example/changes/{external_id}",
        "external_status": "New",
        "properties": {**PROPERTIES, "owning_group": group},
    }
    body = json.dumps(operation).encode()
    while True:
        key = str(uuid.uuid4())
        yield key, body.replace(b"{external_id}", f"C-{key}".encode())
