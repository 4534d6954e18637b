"""Checks that all operations were delivered, signed, in order, and recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from . import checks
from .seeding import OurSeed
from .sink import Arrival
from .stack import Stack

_SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")
_ROWS = {
    "operations": "SELECT count(*) FROM integrations_outgoingoperation",
    "delivered": "SELECT count(*) FROM integrations_outgoingoperation WHERE status = 'Delivered'",
    "claimed": "SELECT count(*) FROM integrations_outgoingoperation"
    " WHERE status = 'Sending' OR claimed_until IS NOT NULL",
    "attempts that succeeded": "SELECT count(DISTINCT operation_id) FROM integrations_deliveryattempt"
    " WHERE http_status = 200 AND answer <> '' AND duration > 0",
    "external references": "SELECT count(*) FROM integrations_externalreference r"
    " JOIN integrations_externalsystem s ON s.id = r.system_id JOIN changes_change c ON c.id = r.change_id"
    " WHERE r.external_id = s.system_id || '-' || c.number",
}


def check_all_delivered(
    stack: Stack, database: str, seed: OurSeed, arrivals: Sequence[Arrival], may_repeat: bool = False
) -> None:
    """Raises CheckFailed unless every operation of the database was delivered, signed, in order, and is settled.

    `may_repeat`: an operation may have arrived more than once, because an earlier try got no answer.
    """
    check_arrivals(seed, arrivals)
    ids = [arrival.header("webhook-id") for arrival in arrivals]
    found = stack.postgresql.values(database, _ROWS)
    found |= {"different ids": len({*ids}), "arrivals": len(ids)}
    expected = {
        "operations": seed.operations,
        "delivered": seed.operations,
        "claimed": 0,
        "attempts that succeeded": seed.operations,
        "external references": seed.changes,
        "different ids": seed.operations,
    }
    if not may_repeat:
        expected["arrivals"] = seed.operations
    checks.equal("after the delivery of ours", found, expected)


def check_arrivals(seed: OurSeed, arrivals: Sequence[Arrival]) -> None:
    """Raises CheckFailed unless every message is signed, and the first arrivals are in order per change and system."""
    check_signatures(seed, arrivals)
    check_order(arrivals)


def check_signatures(seed: OurSeed, arrivals: Sequence[Arrival]) -> None:
    """Raises CheckFailed unless every message is signed. Call it within five minutes: a signature has its time."""
    for arrival in arrivals:
        message = json.loads(arrival.body)
        system_id = message["system_id"]
        if arrival.path != f"/{system_id}" or not _is_signed(seed.signing_secrets[system_id], arrival, message["id"]):
            raise checks.CheckFailed(f"{message['id']} came to {arrival.path} without a valid signature")


def check_order(arrivals: Sequence[Arrival]) -> None:
    """Raises CheckFailed unless the first arrivals are in order per change and system."""
    first_ids: set[str] = set()
    last: dict[tuple[str, str], int] = {}
    for arrival in arrivals:
        message = json.loads(arrival.body)
        system_id, number, sequence = message["system_id"], message["change"]["number"], message["sequence"]
        if message["id"] in first_ids:
            continue
        first_ids.add(message["id"])
        if sequence != last.get((number, system_id), 0) + 1:
            raise checks.CheckFailed(f"{number} to {system_id}: {sequence} came after {last.get((number, system_id))}")
        last[number, system_id] = sequence


def _is_signed(secret: str, arrival: Arrival, operation_id: str) -> bool:
    headers = {name: arrival.header(name) for name in _SIGNED}
    try:
        Webhook(secret).verify(arrival.body.decode(), headers)
    except WebhookVerificationError:
        return False
    return headers["webhook-id"] == operation_id
