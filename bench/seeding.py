"""The databases at the start of a measurement: prepared once, and copied for each measurement."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import yaml

from .content import AGENTS, LOCAL_GROUP, SYSTEMS, authorized_user, external_group
from .stack import BASELINE, OURS, Stack

# Faster. Only measured transactions must survive a power cut.
_QUICK = {"PGOPTIONS": "-c synchronous_commit=off"}
# The number of processes that save at the same time.
_SEEDERS = 2


@dataclass(frozen=True)
class OurSeed:
    """Our database with ten partners and ten agents: their tokens, the partners' signing secrets, and the numbers from
    which the waiting operations follow.

    `wake_ups`: the Redis database that keeps the wake-ups of the saves.
    """

    database: str
    tokens: dict[str, str]
    signing_secrets: dict[str, str]
    changes: int = 0
    comments: int = 0
    wake_ups: int | None = None

    @property
    def operations(self) -> int:
        return self.changes * (1 + self.comments)


def seed_ours(stack: Stack) -> OurSeed:
    """A database with ten partners with tokens, whose endpoint is the sink, and without changes."""
    signing_secrets = {system_id: "whsec_" + b64encode(secrets.token_bytes(32)).decode() for system_id in SYSTEMS}
    configuration = stack.folder / "exchange.yaml"
    configuration.write_text(yaml.safe_dump(_configuration(stack, signing_secrets)))
    database = "ours"
    stack.postgresql.create(database)
    printed = _run(stack, database, configuration=str(configuration), changes=0, comments=0)
    stack.postgresql.settle(database)
    return OurSeed(database, json.loads(printed), signing_secrets)


def seed_operations(stack: Stack, seed: OurSeed, changes: int, comments: int) -> OurSeed:
    """The same database with changes given to the partners. The wake-ups of the saves are kept in Redis."""
    database = f"{seed.database}_{changes}x{comments}"
    stack.postgresql.create(database, seed.database)
    stack.redis.client(OURS.redis_number).flushdb()
    shares = [changes // _SEEDERS + (number < changes % _SEEDERS) for number in range(_SEEDERS)]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda share: _run(stack, database, changes=share, comments=comments), shares))
    wake_ups = stack.redis.new_number()
    stack.redis.copy(OURS.redis_number, wake_ups)
    stack.postgresql.settle(database)
    return OurSeed(database, seed.tokens, seed.signing_secrets, changes, comments, wake_ups)


def copy_ours(stack: Stack, seed: OurSeed, database: str) -> None:
    """A fresh copy for one measurement, with its wake-ups."""
    stack.postgresql.create(database, seed.database)
    if seed.wake_ups is not None:
        stack.redis.copy(seed.wake_ups, OURS.redis_number)
    stack.postgresql.checkpoint()


def seed_baseline(stack: Stack) -> dict[str, str]:
    """Creates the baseline's empty database. Returns the token of each of its ten users."""
    stack.postgresql.create("baseline")
    environment = stack.environment(BASELINE, "baseline")
    printed = stack.run_module("bench.baseline.desk.prepare", environment=environment)
    stack.postgresql.settle("baseline")
    tokens: dict[str, str] = json.loads(printed)
    return tokens


def _run(stack: Stack, database: str, **wanted: object) -> str:
    environment = {**stack.environment(OURS, database), **_QUICK}
    return stack.run_module("bench.seed_ours", environment=environment, stdin=json.dumps(wanted))


def _configuration(stack: Stack, signing_secrets: dict[str, str]) -> dict[str, object]:
    return {
        "external_systems": [
            {
                "system_id": system_id,
                "description": f"The service desk of {system_id}",
                "authorized_user": authorized_user(system_id),
                "delivery": "push",
                "endpoint_url": stack.sink.endpoint(system_id),
                "signing_secret": signing_secrets[system_id],
                "enabled": True,
            }
            for system_id in SYSTEMS
        ],
        "groups": [
            {"name": LOCAL_GROUP, "members": ["alice"]},
            *({"name": external_group(system_id), "external_system": system_id} for system_id in SYSTEMS),
        ],
        "users": [{"username": name, "roles": ["Service desk agent"]} for name in ("alice", *AGENTS)],
    }
