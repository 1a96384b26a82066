"""One process that serves HTTP: its start, its connections, its shutdown."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from observability.logs.logging import get_logger
from service.runtime.process import freeze_gc, give_memory_back, tune
from service.settings import Settings
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.shutdown_watchdog import GRACE_SECONDS, ShutdownWatchdog
from service.transport.http.server.swept import SweptConnection

TICKS_PER_SECOND = 10
MODELS_KEY = "potoo.models"
"""Key of the lifespan state: the line of models that answer."""


class Server(uvicorn.Server):
    """uvicorn's server, which also sweeps slow connections, and stops in steps.

    On a stop signal it reports not ready, keeps serving until load balancers notice, stops
    listening and answers the accepted requests. On a second signal it ends at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        *,
        on_ready: Callable[[str], None] | None = None,
        supervisor: int | None = None,
    ) -> None:
        """Create the server; ``on_ready`` gets the line of models once requests are answered.

        ``supervisor``: process id of a worker's supervisor; it alone ends its workers at once.

        A signal to all processes reaches a worker twice: directly, and from the supervisor.
        """
        super().__init__(config)
        self._on_ready, self._supervisor = on_ready, supervisor
        self._delay, self._drain = settings.drain_delay_seconds, settings.drain_seconds
        self._watchdog = ShutdownWatchdog(grace_of(settings))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving; called once. The application's lifespan has started when it returns."""
        tune()
        self._watchdog.start()
        await super().startup(sockets)
        if self.started:
            freeze_gc()
            give_memory_back()  # what the start needed
            if self._on_ready:
                self._on_ready(self.lifespan.state.get(MODELS_KEY, ""))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a stop signal."""
        if self.should_exit and self._supervisor is not None:
            return
        if self._watchdog.note_signal(sig):
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Sweep, and stop if the supervisor has exited; called ten times a second."""
        if counter % TICKS_PER_SECOND == 0:
            self.sweep()
        if self._supervisor is not None and os.getppid() != self._supervisor:
            if not self.should_exit:
                get_logger("server").error("the supervisor has exited")
                self._watchdog.note_signal(signal.SIGTERM)  # no supervisor can kill a hung worker
            self.should_exit = True  # else this worker would keep the port for ever
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for load balancers to notice, then answer the accepted requests.

        Takes at most the grace time; slow clients are still cut off.
        """

        async def keep_sweeping() -> None:
            while True:
                await asyncio.sleep(1)
                self.sweep()

        await self._go_on()
        self._context.shutdown.drain()  # other protocols drain at the same time
        sweeping = asyncio.create_task(keep_sweeping())
        try:
            await super().shutdown(sockets)
        finally:
            sweeping.cancel()

    async def _go_on(self) -> None:
        """Serve for the delay, but report not ready and close connections after their response."""
        get_logger("server").info("stopping", accepting=self._delay, draining=self._drain)
        self._context.shutdown.announce()
        for connection in self._connections():
            connection.close_after_response()
        ends_at, counter = time.monotonic() + self._delay, 0
        while (left := ends_at - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 1 / TICKS_PER_SECOND))
            counter += 1
            await self.on_tick(counter)  # sweeps, and updates the Date header

    def sweep(self) -> None:
        """End connections that have lasted too long in one state."""
        now = time.monotonic()
        for connection in self._connections():
            connection.sweep(now)

    @property
    def _context(self) -> ConnectionContext:
        context: ConnectionContext = self.lifespan.state[STATE_KEY]
        return context

    def _connections(self) -> Iterator[SweptConnection]:
        for connection in list(self.server_state.connections):
            if isinstance(connection, SweptConnection):
                yield connection


def grace_of(settings: Settings) -> float:
    """Return the seconds from the signal until the process must have ended."""
    return settings.drain_delay_seconds + settings.drain_seconds + GRACE_SECONDS
