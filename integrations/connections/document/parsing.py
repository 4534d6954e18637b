"""The document of a connection: one YAML text becomes a Connection, or the list of everything that is wrong with it."""

from __future__ import annotations

import yaml

from ..evaluation.connection import Connection
from ..evaluation.shapes import PAUSE_ON, Step
from ..templating.faults import Fault, FaultyDocument
from ..templating.templates import Engine
from .auth_reading import auth_of
from .checks import Scope
from .incoming_reading import inbox_of, poll_of, read_of
from .reading import AUTH, EVERYWHERE, MOST_STEPS, REFERENCE, Reader, constants
from .source import Section, Source, TooLarge

__all__ = ["MOST_STEPS", "Fault", "FaultyDocument", "connection_of", "faults_of"]

OPERATIONS = ("Assign", "Accept", "Cancel", "Update")
KEYS = ("base_url", "auth", "ca", "pause_on", "tables", "outgoing", "poll", "inbox", "read")
OUTGOING = Scope(
    REFERENCE
    | EVERYWHERE
    | {"operation", "operation_id", "change", "changed_fields", "comment", "attachment", "origin"}
)


def connection_of(text: str) -> Connection:
    """The connection that this document describes. Raises FaultyDocument with every fault."""
    source = Source(text)
    connection = None
    try:
        root = source.root()
        if root is not None:
            connection = _connection(source, root)
    except TooLarge:  # its fault is in the source
        connection = None
    if source.faults or connection is None:
        raise FaultyDocument(source.faults)
    return connection


def faults_of(text: str) -> list[Fault]:
    """Everything that is wrong with this document, in the order of its lines."""
    try:
        connection_of(text)
    except FaultyDocument as error:
        return error.faults
    return []


def _connection(source: Source, root: yaml.Node) -> Connection:
    section = Section(source, root, "", KEYS)
    tables = {
        name: constants(source, entry.value, f"tables.{name}", source.entries(entry.value, f"tables.{name}"))
        for name, entry in section.mapping("tables").items()
    }
    pause_on = section.statuses("pause_on")
    reader = Reader(source, Engine(tables), PAUSE_ON if pause_on is None else pause_on)
    section.needs("base_url")
    base_url = reader.url(section, "base_url")
    return Connection(
        base_url=base_url,
        auth=auth_of(reader, section, base_url),
        engine=reader.engine,
        ca=reader.one(section, "ca", AUTH),
        pause_on=reader.pause_on,
        outgoing=_outgoing(reader, section),
        poll=poll_of(reader, section) if "poll" in section else None,
        inbox=inbox_of(reader, section) if "inbox" in section else None,
        read=read_of(reader, section) if "read" in section else None,
        secret_names=frozenset(reader.secrets),
    )


def _outgoing(reader: Reader, section: Section) -> dict[str, tuple[Step, ...]]:
    if "outgoing" not in section:
        return {}
    outgoing = Section(reader.source, section.node("outgoing"), "outgoing", OPERATIONS)
    return {
        name: reader.steps(entry.value, f"outgoing.{name}", OUTGOING, with_result=True)
        for name, entry in outgoing.entries.items()
        if name in OPERATIONS
    }
