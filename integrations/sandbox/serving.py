"""`manage.py serve`: runs everything on one machine, from an empty folder to a desk with simulated partners."""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.db import connections

from integrations.models import ExternalSystem
from integrations.sandbox.demo import exchanges, load

from .local.environment import NotPossible
from .local.interruption import Interrupted, interruptible
from .local.kept import Kept
from .local.processes import ChildEnded, Children, commands
from .local.simulation import Simulation, write_config

BANNER = """
casexchange runs at {web}/

{accounts}

The partners' desk:  {simulator}/
API description:     {web}/api/v1/docs/
Files and logs:      {folder}

Ctrl-C stops everything."""


def serve(port: int, simulator_port: int, output: OutputWrapper) -> None:
    """Runs until it is interrupted, then returns. Exits with status 1 and the reason if it cannot go on."""
    folder: Path = settings.VAR_DIR
    children = Children(folder / "logs", {})
    try:
        with interruptible(), _only_one(folder):
            try:
                _check_ports(web=port, simulator=simulator_port)
                _run(folder, port, simulator_port, children, output)
            finally:
                children.stop()
    except Interrupted:
        _say(output, "\nStopped. The data is kept for the next start.")
    except (NotPossible, ChildEnded, TimeoutError) as error:
        sys.exit(f"casexchange: {error}")


def _run(folder: Path, port: int, simulator_port: int, children: Children, output: OutputWrapper) -> None:
    simulator_url = f"http://127.0.0.1:{simulator_port}"
    _say(output, "Preparing the database ...")
    call_command("migrate", verbosity=0, interactive=False)
    kept = _load(folder, simulator_url, output)
    call_command("collectstatic", verbosity=0, interactive=False)
    config = folder / "simulator.yaml"
    adapters = load.adapters(kept.adapter_passwords)
    write_config(config, settings.BASE_URL, kept.tokens, kept.signing_secrets, adapters)
    # The child processes must not inherit a database connection, and this process needs none while it waits.
    connections.close_all()

    _say(output, "Starting the processes ...")
    for name, command in commands(port, simulator_port, config).items():
        children.start(name, command)
    children.until_answers(f"{simulator_url}/api/partners")
    children.until_answers(f"{settings.BASE_URL}/readyz")
    if not kept.has_exchanged:
        _exchange(kept, Simulation(simulator_url), output)
    _say(output, BANNER.format(web=settings.BASE_URL, simulator=simulator_url, folder=folder, accounts=_accounts(kept)))
    children.watch()


def _load(folder: Path, simulator_url: str, output: OutputWrapper) -> Kept:
    """Loads the demo data and its accounts at the first start, and points the demo systems to the simulator.

    Raises NotPossible if the database was filled in another way.
    """
    kept = Kept.of(folder)
    if not load.is_empty() and not kept.passwords:
        raise NotPossible(f"The database in {folder} was not filled by serve. Set VAR_DIR to another folder.")
    is_new = load.is_empty()
    kept.complete(load.ACCOUNTS, load.SYSTEMS, load.POLLING if is_new else ())
    if is_new:
        _say(output, "Loading the demo data ...")
        secrets = {f"{name}_SIGNING_SECRET": secret for name, secret in kept.signing_secrets.items()}
        secrets |= load.password_variables(kept.adapter_passwords)
        load.load_demo(kept.passwords, simulator_url, secrets)
    _follow_ports(kept, simulator_url)
    return kept


def _exchange(kept: Kept, simulation: Simulation, output: OutputWrapper) -> None:
    """Exchanges the first operations with the partners, once. After a failure, the next start tries again."""
    _say(output, "Exchanging the first operations with the partners ...")
    try:
        exchanges.play(simulation)
    except (TimeoutError, OSError) as error:
        _say(output, f"The first operations were not all exchanged; the next start tries again: {error}")
    else:
        kept.has_exchanged = True
        kept.save()
    connections.close_all()


def _follow_ports(kept: Kept, simulator_url: str) -> None:
    """Creates tokens at the first start, and points the demo systems to the simulator's current port."""
    if not kept.tokens:
        kept.tokens = load.make_tokens()
    former = f"{kept.simulator_url}/operations"
    for system in ExternalSystem.objects.filter(system_id__in=load.SYSTEMS, endpoint_url=former):
        system.endpoint_url = f"{simulator_url}/operations"
        system.save(update_fields=["endpoint_url"])
    kept.simulator_url = simulator_url
    kept.save()


def _accounts(kept: Kept) -> str:
    rows = [(name, kept.passwords[name], role) for name, role in load.ACCOUNTS.items()]
    return "\n".join(f"  {name:<8} {password}   {role}" for name, password, role in rows)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Locks the folder. Two processes would share its accounts, files and logs. Raises NotPossible if it is locked."""
    with (folder / "serve.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise NotPossible(f"serve is already running with {folder}.") from error
        yield


def _check_ports(**ports: int) -> None:
    variables = {"web": "PORT", "simulator": "SIMULATOR_PORT"}
    if len({*ports.values()}) < len(ports):
        raise NotPossible("PORT and SIMULATOR_PORT must differ.")
    for name, port in ports.items():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise NotPossible(
                f"Port {port} cannot be used ({os.strerror(error.errno or 0)}). Stop what uses it, or choose another: "
                f"{variables[name]}={port + 1} make run"
            ) from error


def _say(output: OutputWrapper, text: str) -> None:
    output.write(text)
    output.flush()
