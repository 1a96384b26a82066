"""Start and stop the ports of sensors: in HTTP's process and event loop."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from service.runtime.identity import Identity
from service.runtime.shutdown import Shutdown
from service.sensors.ingest.ports import Intake
from service.settings import Settings
from service.transport.listening import listening, shared_socket
from service.transport.tcp.connections import SWEEP_SECONDS, Connections
from service.transport.tcp.framed import FramedConnection, FramedContext
from service.transport.tcp.handshakes import TlsListener
from service.transport.tcp.listening import FRAMED_SETTING, PURPOSE, RAW_SETTING
from service.transport.tcp.raw import RawConnection, RawContext
from service.transport.tcp.refusals import TokenRefusals
from service.transport.tcp.session.session import SessionLimits
from service.transport.tcp.tls import TcpTls, tls_of

BACKLOG = 2048
SEND_BUFFER_BYTES = 65_536


@asynccontextmanager
async def serving(
    settings: Settings, identity: Identity, intake: Intake, metrics: Metrics, shutdown: Shutdown
) -> AsyncIterator[list[int]]:
    """Serve at the ports of ``settings.sensors``; yield them: the framed one first, if it is on.

    Once ``shutdown`` drains, or the block ends, no connection is accepted and no sample is taken;
    devices get BYE as soon as what was taken is committed, for which there are
    ``settings.drain_seconds``.

    Raises:
        SettingsError: a port cannot be listened on, or certificate and key cannot be used.
    """
    sensors = settings.sensors
    connections = Connections(sensors.max_connections, metrics)
    tls = tls_of(sensors, metrics)
    has_log = settings.observability.access_log
    async with AsyncExitStack() as stack:
        servers = _Servers(settings.host, stack, sensors.hello_seconds)
        if sensors.tcp_port is not None:
            context = FramedContext(
                SessionLimits(sensors.hello_seconds, sensors.idle_seconds, sensors.max_frame_bytes),
                intake,
                identity,
                metrics,
                connections,
                TokenRefusals(),
                has_log,
            )
            make = functools.partial(FramedConnection, context)
            if tls is None:
                await servers.start(FRAMED_SETTING, sensors.tcp_port, make)
            else:
                servers.start_tls(FRAMED_SETTING, sensors.tcp_port, make, tls, connections)
        for raw in sensors.raw:
            of_port = RawContext(
                raw.sensor,
                raw.allow,
                sensors.idle_seconds,
                intake,
                metrics,
                connections,
                has_log,
            )
            await servers.start(RAW_SETTING, raw.port, functools.partial(RawConnection, of_port))
        get_logger("server").info("sensors ready", ports=servers.ports, tls=tls is not None)
        tasks = [asyncio.create_task(connections.sweep_all())]
        if tls is not None:
            tasks.append(asyncio.create_task(_renew(tls)))
        draining = asyncio.create_task(
            _drain(servers, connections, settings.drain_seconds, shutdown, tasks)
        )
        try:
            yield servers.ports
        finally:
            shutdown.drain()
            await draining


class _Servers:
    """The listening sockets."""

    def __init__(self, host: str, stack: AsyncExitStack, handshake_seconds: float) -> None:
        self._host, self._stack, self._handshake_seconds = host, stack, handshake_seconds
        self._servers: list[asyncio.Server | TlsListener] = []
        self.ports: list[int] = []

    async def start(
        self,
        setting: str,
        port: int,
        make: functools.partial[FramedConnection] | functools.partial[RawConnection],
    ) -> None:
        """Listen on a port, which workers share; 0 takes a free one."""
        listener = self._listener(setting, port)
        loop = asyncio.get_running_loop()
        self._keep(await loop.create_server(make, sock=listener, backlog=BACKLOG))

    def start_tls(
        self,
        setting: str,
        port: int,
        make: functools.partial[FramedConnection],
        tls: TcpTls,
        connections: Connections,
    ) -> None:
        """Listen with TLS, as ``start``."""
        listener = self._listener(setting, port)
        with listening(setting, self._host, port, PURPOSE):
            listener.listen(BACKLOG)
            listener.settimeout(0)
        seconds = self._handshake_seconds
        self._keep(TlsListener(listener, make, tls, connections, handshake_seconds=seconds))

    def _keep(self, server: asyncio.Server | TlsListener) -> None:
        self._stack.callback(server.close)
        self._servers.append(server)

    def _listener(self, setting: str, port: int) -> socket.socket:
        with listening(setting, self._host, port, PURPOSE):
            listener = shared_socket(self._host, port)
        # Connections inherit all three: those in TIME_WAIT after a kill -9 do not keep the next
        # process from the port, devices that are gone without a word are found in time, and those
        # that read nothing take little memory of the kernel.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._stack.callback(listener.close)
        self.ports.append(listener.getsockname()[1])
        return listener

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.close()


async def _renew(tls: TcpTls) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        tls.renew()


async def _drain(
    servers: _Servers,
    connections: Connections,
    grace: float,
    shutdown: Shutdown,
    tasks: list[asyncio.Task[None]],
) -> None:
    """When draining begins, stop listening and end the connections."""
    await shutdown.draining.wait()
    servers.close()
    await connections.drain(grace)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
