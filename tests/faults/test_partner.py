"""A partner misbehaves in every way we know of. After it has recovered, it gets everything, in order."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("faults")

# BETA uses TLS. After a fault the operation is delivered at once ("taken"), retried until the partner has recovered
# ("retried"), or waits for a person ("refused").
FAULTS = {
    "refuses connections": ("ACME", {"mode": "refuse"}, "retried"),
    "drops connections": ("ACME", {"mode": "down"}, "retried"),
    "shows an expired certificate": ("BETA", {"mode": "expired"}, "retried"),
    "hangs before the answer": ("ACME", {"mode": "hang", "seconds": 30}, "retried"),
    "hangs in the middle of the answer": ("ACME", {"mode": "stall", "seconds": 30}, "retried"),
    "hangs in the middle of the answer over TLS": ("BETA", {"mode": "stall", "seconds": 30}, "retried"),
    "drips a byte a second": ("ACME", {"mode": "drip", "seconds": 150}, "retried"),
    "answers 10 GB": ("ACME", {"mode": "huge", "size": 10_000_000_000}, "taken"),
    "answers 10 GB over TLS": ("BETA", {"mode": "huge", "size": 10_000_000_000}, "taken"),
    "hangs up": ("BETA", {"mode": "hang_up"}, "retried"),
    "resets the connection": ("ACME", {"mode": "reset"}, "retried"),
    "redirects": ("ACME", {"mode": "redirect", "location": "/operations"}, "refused"),
    "answers HTML": ("ACME", {"mode": "not_json"}, "taken"),
    "answers invalid JSON": ("ACME", {"mode": "broken_json"}, "taken"),
    "answers less than it announces": ("ACME", {"mode": "short"}, "retried"),
    "answers more than it announces": ("ACME", {"mode": "long", "seconds": 30}, "retried"),
    "sends interim answers first": ("ACME", {"mode": "interim", "seconds": 0}, "taken"),
    "sends interim answers for ever": ("ACME", {"mode": "interim", "seconds": 30}, "retried"),
    "answers 101": ("ACME", {"mode": "switch", "seconds": 30}, "retried"),
    "answers 400": ("ACME", {"mode": "answer", "status": 400}, "refused"),
    "answers 503": ("ACME", {"mode": "answer", "status": 503}, "retried"),
}
GROUPS = {"ACME": "ACME Networks", "BETA": "BETA Servers"}
_ROWS = """
    SELECT o.id::text, o.sequence, o.status,
           ARRAY(SELECT a.error FROM integrations_deliveryattempt a WHERE a.operation_id = o.id)
    FROM integrations_outgoingoperation o JOIN changes_change c ON c.id = o.change_id
    WHERE c.number = %(number)s ORDER BY o.sequence
"""


def rows(exchange, number):
    """(id, sequence, status, errors of the attempts) of the change's operations."""
    return exchange.query(_ROWS, number=number)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_partner(exchange, nothing_is_lost, fault):
    system_id, behaviour, outcome = FAULTS[fault]
    exchange.behave(system_id, **behaviour)
    try:
        number = assigned(exchange, GROUPS[system_id])
        if outcome == "taken":
            exchange.until("all is delivered", lambda: {row[2] for row in rows(exchange, number)} == {"Delivered"})
        elif outcome == "retried":
            exchange.until("it was tried twice", lambda: len(rows(exchange, number)[0][3]) >= 2)
        else:
            exchange.until("it is refused", lambda: rows(exchange, number)[0][2] == "Refused")
        # The second operation stays behind the first, whatever the outcome of the first.
        assert [row[2] for row in rows(exchange, number)][1:] == ["Delivered" if outcome == "taken" else "Waiting"]
    finally:
        exchange.behave(system_id, mode="normal")
    if outcome == "refused":
        retry_by_hand(exchange, rows(exchange, number)[0][0])
    assert nothing_is_lost() == 2


def assigned(exchange, group):
    """Creates a change with an Assign and an Update to the partner of that group. Returns its number."""
    client = exchange.api("alice")
    made = client.post("/api/v1/changes/", json={"title": "Replace core switch", "owning_group": group})
    assert made.status_code == 201, made.text
    number = made.json()["number"]
    added = client.post(f"/api/v1/changes/{number}/comments/", json={"body": "Any news?"})
    assert added.status_code == 201, added.text
    return number


def retry_by_hand(exchange, operation):
    """Retries it as ingrid, on the operation's page."""
    pages = exchange.pages("ingrid")
    address = f"/exchange/{operation}/"
    pages.get(address)
    answer = pages.post(f"{address}retry/", data={"csrfmiddlewaretoken": pages.cookies["csrftoken"]})
    assert answer.status_code == 200, answer.text
