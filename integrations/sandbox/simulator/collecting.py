"""The partners that collect their operations, each in a task that polls as long as the simulator runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .behaviour import DEAF, Behaviour, Mode
from .config import PULL, SMAX, Partner
from .pull import NotAnswered, Puller
from .service import Simulator
from .smax_adapter import Refused
from .smax_desk import SmaxDesk, Told

# Seconds after a failure, doubled each time.
FIRST_PAUSE, LONGEST_PAUSE = 1, 30
# A partner that is down looks again after so many seconds whether it is up.
DOWN = 0.2
# Behaviours with which a partner has an operation, and nobody hears of it.
SILENT = {Mode.HANG_UP, Mode.RESET}


def tasks_of(simulator: Simulator) -> list[asyncio.Task[None]]:
    """Starts a task for each partner that collects."""
    rounds: dict[str, Callable[[Simulator, Partner], Callable[[], Awaitable[None]]]] = {PULL: _pulling, SMAX: _polling}
    return [
        asyncio.create_task(_collect(simulator, partner, rounds[partner.delivery](simulator, partner)))
        for partner in simulator.partners.values()
        if partner.delivery in rounds
    ]


async def _collect(simulator: Simulator, partner: Partner, one_round: Callable[[], Awaitable[None]]) -> None:
    pause = FIRST_PAUSE
    while True:
        if simulator.behaviour(partner.system_id).mode in DEAF:
            await asyncio.sleep(DOWN)
            continue
        try:
            await one_round()
        except (NotAnswered, Refused, OSError, LookupError, TypeError, ValueError) as error:
            # LookupError, TypeError, ValueError: an answer has not the form of the protocol.
            simulator.asked[partner.system_id] = f"could not collect at {_now()}: {error or type(error).__name__}"
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            simulator.asked[partner.system_id] = f"asked last at {_now()}"
            pause = FIRST_PAUSE


def _now() -> str:
    return f"{datetime.now(UTC):%H:%M:%S} UTC"


# --- Pull ---


def _pulling(simulator: Simulator, partner: Partner) -> Callable[[], Awaitable[None]]:
    puller, cursor = Puller(simulator.session, partner), ""

    async def one_round() -> None:
        nonlocal cursor
        got = cursor
        cursor = ""  # if this call fails, the next one begins anew: its cursor may not be known any more
        collected = await puller.collect(got)
        said = [one for message in collected.operations if (one := _taken(simulator, partner, message))]
        if said:
            await puller.acknowledge(said)
        if len(said) < len(collected.operations):
            # As after a crash: it comes back with the cursor that it had before, and gets again what it kept silent of.
            cursor = got
            await asyncio.sleep(DOWN)
        else:
            cursor = collected.cursor

    return one_round


def _taken(simulator: Simulator, partner: Partner, message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Takes one message as the partner's behaviour says. Returns what to acknowledge; None for nothing."""
    behaviour = simulator.next_behaviour(partner.system_id)
    if behaviour.mode == Mode.ANSWER and behaviour.status >= 400:
        simulator.keep(message, "collected", behaviour, "refused", takes=False)
        return {"id": message["id"], "refused": _reason(behaviour)}
    answered = "not acknowledged" if behaviour.mode in SILENT else "acknowledged"
    event = simulator.keep(message, "collected", behaviour, answered, takes=True)
    if behaviour.mode in SILENT:
        return None
    record = simulator.desk.record(partner.system_id, event["external_id"])
    return {"id": message["id"], **(record.answer if record else {})}


def _reason(behaviour: Behaviour) -> str:
    detail = behaviour.body.get("detail") if isinstance(behaviour.body, dict) else None
    return str(detail or f"As set: {behaviour.status}")


# --- SMAX ---


def _polling(simulator: Simulator, partner: Partner) -> Callable[[], Awaitable[None]]:
    desk = simulator.smax_desks[partner.system_id]

    async def one_round() -> None:
        async with simulator.smax_lock:
            found = await asyncio.to_thread(desk.poll)
        for told in found:
            await _take_element(simulator, partner, desk, told)
        await asyncio.sleep(partner.poll_seconds)

    return one_round


async def _take_element(simulator: Simulator, partner: Partner, desk: SmaxDesk, told: Told) -> None:
    system_id, message = partner.system_id, told.message
    behaviour, number = simulator.behaviour(system_id), message["change"]["number"]
    is_silent = behaviour.mode in SILENT
    if not told.is_again and not simulator.desk.has_taken(system_id, message["id"]):
        simulator.keep(message, "polled", behaviour, "not answered" if is_silent else "taken", takes=True)
    records = simulator.desk.records(system_id, number)
    if message["operation"] != "Assign" or is_silent or not records:
        return
    record = records[-1]
    async with simulator.smax_lock:
        await asyncio.to_thread(desk.answer, number, record.external_id, record.external_status)
