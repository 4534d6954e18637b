"""The ports of the partners that have their own port, where they can refuse connections or use TLS."""

from __future__ import annotations

import ssl

from aiohttp import web
from aiohttp.typedefs import Handler

from .behaviour import AT_THE_DOOR, Mode
from .config import Partner
from .service import SIMULATOR, Simulator


class Doors:
    """The servers on the partners' own ports. They take only `POST` and `OPTIONS /operations`."""

    def __init__(
        self, simulator: Simulator, host: str, handlers: tuple[Handler, Handler], request_max_bytes: int
    ) -> None:
        """`handlers`: of messages, and of pings."""
        self._simulator = simulator
        self._host = host
        self._receive, self._receive_ping = handlers
        self._request_max_bytes = request_max_bytes
        self._open: dict[str, tuple[Mode | None, web.AppRunner]] = {}

    async def adapt(self) -> None:
        """Opens and closes ports as the current behaviours ask for. Drops the connections of a port that changes.

        Raises OSError if a port or a certificate cannot be used.
        """
        for system_id, partner in self._simulator.partners.items():
            if not partner.port:
                continue
            mode = self._simulator.behaviour(system_id).mode
            wanted = mode if mode in AT_THE_DOOR else None
            is_open = system_id in self._open
            if is_open and self._open[system_id][0] != wanted:
                await self._close(system_id)
                is_open = False
            if not is_open and wanted != Mode.REFUSE:
                self._open[system_id] = (wanted, await self._start(partner, wanted))

    async def close(self) -> None:
        for system_id in [*self._open]:
            await self._close(system_id)

    async def _close(self, system_id: str) -> None:
        _, runner = self._open.pop(system_id)
        await runner.cleanup()

    async def _start(self, partner: Partner, mode: Mode | None) -> web.AppRunner:
        app = web.Application(client_max_size=self._request_max_bytes)
        app[SIMULATOR] = self._simulator
        app.router.add_post("/operations", self._receive)
        app.router.add_options("/operations", self._receive_ping)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        tls = None
        if partner.certificate:
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(partner.expired_certificate if mode == Mode.EXPIRED else partner.certificate)
        await web.TCPSite(runner, self._host, partner.port, ssl_context=tls, reuse_address=True).start()
        return runner


DOORS = web.AppKey("doors", Doors)
