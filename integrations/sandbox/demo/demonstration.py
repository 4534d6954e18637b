"""`manage.py demo`: plays the scenes one after the other, with real processes on temporary data."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from knox.models import AuthToken

from integrations.sandbox.local.http_client import Api
from integrations.sandbox.local.interruption import Interrupted, interruptible
from integrations.sandbox.local.kept import new_password
from integrations.sandbox.local.processes import ChildEnded, Children, commands
from integrations.sandbox.local.simulation import Account, Simulation, write_config
from integrations.sandbox.simulator.smax_adapter import Refused, SmaxAdapter
from integrations.setup.configuration import load as load_configuration
from integrations.transports.signing import new_secret

from . import collecting_scenes, incoming_scenes, outgoing_scenes
from .load import POLLING, PULLING, SYSTEMS, adapters, configuration, make_tokens, password_variables
from .stage import Difference, Stage

SCENES = (*outgoing_scenes.SCENES, *incoming_scenes.SCENES, *collecting_scenes.SCENES)
# Short pauses and many tries: a partner that is down for a moment is retried soon and not given up.
HASTE = {
    "DELIVERY_TIMEOUT": "5",
    "DELIVERY_RETRY_SCHEDULE": ",".join(["0.5"] * 60),
    "DELIVERY_LEASE": "15",
    "DISPATCH_INTERVAL": "0.5",
    "BREAKER_OPEN_SECONDS": "1",
    "SMAX_FEED_OVERLAP_SECONDS": "1",
}


def demonstrate(say: Callable[[str], None]) -> None:
    """Plays all scenes. Exits with status 1 if one differs from the rules or if a process does not run."""
    folder: Path = settings.VAR_DIR
    port, simulator_port = _free_ports()
    base_url, simulator_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{simulator_port}"
    children = Children(folder / "logs", {**HASTE, "BASE_URL": base_url})
    try:
        with interruptible():
            try:
                say("Starting the real processes on throw-away data ...")
                tokens, accounts = _prepare(folder, base_url, simulator_url)
                for name, command in commands(port, simulator_port, folder / "simulator.yaml").items():
                    children.start(name, command)
                children.until_answers(f"{simulator_url}/api/partners")
                children.until_answers(f"{base_url}/accounts/login/")
                differing = _play(_stage(base_url, simulator_url, tokens, accounts, say), children, say)
            finally:
                children.stop()
    except Interrupted:
        sys.exit("casexchange: Interrupted before all scenes were played. No data is left behind.")
    except (ChildEnded, TimeoutError) as error:
        sys.exit(f"casexchange: {error}")
    if differing:
        sys.exit(
            f"casexchange: {len(differing)} of {len(SCENES)} scenes differ from the rules: {', '.join(differing)}."
        )
    say(f"\nAll {len(SCENES)} scenes went by the rules.")


def _prepare(folder: Path, base_url: str, simulator_url: str) -> tuple[dict[str, str], dict[str, Account]]:
    """Prepares the database, the configuration and the simulator.

    Returns tokens for the partners, alice and carol, and the accounts of the SMAX adapters.
    """
    call_command("migrate", verbosity=0, interactive=False)
    secrets = {name: new_secret() for name in SYSTEMS}
    passwords = {name: new_password() for name in POLLING}
    variables = {f"{name}_SIGNING_SECRET": secret for name, secret in secrets.items()}
    load_configuration(configuration(simulator_url), {**variables, **password_variables(passwords)})
    tokens, accounts = make_tokens(), adapters(passwords)
    write_config(folder / "simulator.yaml", base_url, tokens, secrets, accounts, poll_seconds=0.5)
    for user in get_user_model().objects.filter(username__in=("alice", "carol")):
        tokens[user.get_username()] = AuthToken.objects.create(user)[1]
    connections.close_all()
    return tokens, accounts


def _stage(
    base_url: str, simulator_url: str, tokens: dict[str, str], accounts: dict[str, Account], say: Callable[[str], None]
) -> Stage:
    apis = {name: Api(base_url, token) for name, token in tokens.items()}
    return Stage(
        alice=apis.pop("alice"),
        carol=apis.pop("carol"),
        partners=apis,
        adapters={
            name: SmaxAdapter(base_url, account.username, account.password, name) for name, account in accounts.items()
        },
        simulation=Simulation(simulator_url),
        say=lambda text: say(f"    {text}"),
    )


def _play(stage: Stage, children: Children, say: Callable[[str], None]) -> list[str]:
    """Plays all scenes, even after one that differed. Returns the numbers of those that differed."""
    differing = []
    for number, scene in enumerate(SCENES, 1):
        say(f"\n{number:2}. {scene.__doc__}")
        try:
            scene(stage)
        except (Difference, Refused, TimeoutError, OSError, LookupError, TypeError, ValueError) as error:
            # LookupError, TypeError, ValueError: an answer does not have the form of the contract.
            children.check()
            stage.say(f"DIFFERS: {error if isinstance(error, Difference | TimeoutError) else repr(error)}")
            differing.append(str(number))
        for system_id in (*SYSTEMS, *PULLING, *POLLING):
            stage.simulation.behave(system_id, mode="normal")
    return differing


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]
