"""An SMAX adapter: 50 entities in one `POST ces` against single `POST operations/`, and the time of its poll."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice

from . import checks
from .clients import NextRequest, get, load, post
from .content import LOCAL_GROUP, PROPERTIES, SYSTEMS, authorized_user
from .cpu import CpuMeter, profile
from .figures import Figure
from .incoming import SECONDS, WARM_UP, create_rates
from .seeding import copy_ours
from .session import Session
from .stack import OURS, Stack

CLIENTS = 8
ENTITIES = 50
CES = "/rest/default/ces"
_DATABASE = "measured"
_CHANGES = "SELECT count(*) FROM changes_change"
_APPLIED = "SELECT count(*) FROM integrations_incomingoperation WHERE status = 'Applied'"
_SIGNS_IN = "/auth/authentication-endpoint/authenticate/login"
# Each partner gets a password, which it has on the SMAX face only.
_PREPARE = """
from django.contrib.auth.models import User
from integrations.models import ExternalSystem

ExternalSystem.objects.update(delivery="smax", endpoint_url="")
for system in ExternalSystem.objects.select_related("authorized_user"):
    system.authorized_user.set_password({password!r})
    system.authorized_user.save()
"""


class Bulk:
    name = "bulk"

    def __init__(self, session: Session) -> None:
        self._session = session
        self.figures = [Figure(f"Create, {ENTITIES} entities in a POST ces against single calls", "1/s", 1.5)]

    def measure(self) -> None:
        session = self._session
        copy_ours(session.stack, session.partners, _DATABASE)
        (single,) = create_rates(session, OURS, _DATABASE, session.partners.tokens, [CLIENTS])
        self.figures[0].add(self._entities(), single)

    def _entities(self) -> float:
        """Applied entities a second."""
        session, stack = self._session, self._session.stack
        copy_ours(stack, session.partners, _DATABASE)
        password = uuid.uuid4().hex
        environment = stack.environment(OURS, _DATABASE)
        adapters(stack, _DATABASE, password)
        web, url = stack.start_web(OURS, environment)
        connections: list[NextRequest] = [
            partial(next, _creates(system_id, sign_in(url, system_id, password)))
            for system_id in islice(cycle(SYSTEMS), CLIENTS)
        ]
        before = stack.postgresql.value(_DATABASE, _CHANGES)
        stack.postgresql.checkpoint()
        meter = CpuMeter({"web": [web.child.pid], "PostgreSQL": [stack.postgresql.process.child.pid]})
        came = load([url], connections, 200, WARM_UP, SECONDS)
        entities = came.answered * ENTITIES
        session.say(f"POST ces: {came.rate * ENTITIES:.0f}/s; {profile(meter.used(), WARM_UP + SECONDS, entities)}")
        stack.stop([web])
        found = {"changes": stack.postgresql.value(_DATABASE, _CHANGES) - before}
        checks.equal("after the entities", found, {"changes": entities})
        return came.rate * ENTITIES


def poll_time(session: Session, database: str) -> float:
    """The time of a poll of the feed that answers 100 waiting operations, in ms, by one client at a time."""
    stack, password = session.stack, uuid.uuid4().hex
    adapters(stack, database, password)
    web, url = stack.start_web(OURS, stack.environment(OURS, database))
    polls = [
        get(
            f"{CES}?layout=Id,DisplayLabel,Description,PhaseId,OwnedByGroup.Name&type=Change&time=0&size=100"
            f"&system={system_id}",
            {"Cookie": f"LWSSO_COOKIE_KEY={sign_in(url, system_id, password)}"},
        )
        for system_id in SYSTEMS
    ]
    came = load([url], [partial(next, cycle(polls))], 200, WARM_UP, SECONDS)
    stack.stop([web])
    return 1000 / came.rate


def adapters(stack: Stack, database: str, password: str) -> None:
    """Makes all partners poll with adapters, which sign in with this password."""
    code = _PREPARE.format(password=password)
    stack.run_module("manage", "shell", "--command", code, environment=stack.environment(OURS, database))


def sign_in(url: str, system_id: str, password: str) -> str:
    """The token of this partner's adapter."""
    import requests

    body = {"login": authorized_user(system_id), "password": password}
    answer = requests.post(url + _SIGNS_IN, json=body, timeout=60)
    answer.raise_for_status()
    return answer.text


def _creates(system_id: str, token: str) -> Iterator[bytes]:
    headers = {"Cookie": f"LWSSO_COOKIE_KEY={token}", "Content-Type": "application/json"}
    properties = _properties()
    while True:
        entities = [_entity(system_id, properties) for _ in range(ENTITIES)]
        yield post(f"{CES}?layout=Id", headers, json.dumps({"entities": entities}).encode())


def _entity(system_id: str, properties: dict[str, object]) -> dict[str, object]:
    said = {
        "ExternalSystem": system_id,
        "Operation": "Create",
        "ExternalId": f"C-{uuid.uuid4()}",
        "ExternalEntityType": "Change",
        "ExternalStatus": "New",
    }
    return {"entity_type": "Change", "properties": properties, "ext_properties": said}


def _properties() -> dict[str, object]:
    """The change of the other benchmarks, in the adapter's names."""
    return {
        "DisplayLabel": PROPERTIES["title"],
        "Description": PROPERTIES["description"],
        "ChangeWorkflowType": "NormalChange",
        "Category": PROPERTIES["category"],
        "AffectsActualService": PROPERTIES["service"],
        "ReasonForChange": PROPERTIES["reason"],
        "Justification": PROPERTIES["justification"],
        "RiskAssessment": "MediumRisk",
        "ImpactScope": PROPERTIES["business_impact"],
        "Urgency": PROPERTIES["urgency"],
        "ImplementationPlan": PROPERTIES["implementation_plan"],
        "BackoutPlan": PROPERTIES["backout_plan"],
        "ScheduledStartTime": 1796148000000,
        "ScheduledEndTime": 1796162400000,
        "OwnedByGroup.Name": LOCAL_GROUP,
    }
