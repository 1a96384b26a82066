"""Accepts TLS connections, so that those whose handshake is not complete count as connections.

``create_server`` makes a protocol only after the handshake: half-open ones would have no limit.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from observability.logs.logging import get_logger
from schemas.errors import Overloaded
from service.transport.tcp.connections import Connections
from service.transport.tcp.tls import TcpTls

PAUSE_SECONDS = 1.0
"""After a failed accept, such as without a free file descriptor."""
MakeProtocol = Callable[[Callable[[], None]], asyncio.BaseProtocol]
"""Makes the protocol of a connection. It calls its argument once in ``connection_made``, before it
counts itself: the handshake counts no longer."""


class _Handshake:
    """A connection whose handshake is not complete."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    async def sweep(self, now: float) -> None:
        """Do nothing: the event loop ends a handshake that takes too long."""

    def drain(self) -> None:
        """End at once: the device has sent no samples."""
        self.abort()

    def abort(self) -> None:
        """End at once."""
        if self.task is not None:
            self.task.cancel()


class TlsListener:
    """Accepts connections of one port until it is closed."""

    def __init__(
        self,
        listener: socket.socket,
        make: MakeProtocol,
        tls: TcpTls,
        connections: Connections,
        *,
        handshake_seconds: float,
    ) -> None:
        """``listener``: a socket that listens and does not block."""
        self._listener, self._make, self._tls = listener, make, tls
        self._connections, self._handshake_seconds = connections, handshake_seconds
        self._task = asyncio.create_task(self._accept())

    def close(self) -> None:
        """Accept no more; handshakes go on."""
        self._task.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                device, _ = await loop.sock_accept(self._listener)
            except ConnectionError:  # it is gone already
                continue
            except OSError as error:
                get_logger("sensors").error("cannot accept a connection", reason=error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._shake_hands(device)

    def _shake_hands(self, device: socket.socket) -> None:
        handshake = _Handshake()
        try:
            self._connections.enter(handshake)
        except Overloaded:  # without TLS there is no way to say so
            self._connections.leave(handshake)
            device.close()
            return
        handshake.task = self._connections.start(self._connect(device, handshake))

    async def _connect(self, device: socket.socket, handshake: _Handshake) -> None:
        try:
            with suppress(OSError):  # of TLS, or of time
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: self._make(lambda: self._connections.leave(handshake)),
                    device,
                    ssl=self._tls.context,
                    ssl_handshake_timeout=self._handshake_seconds,
                )
        finally:
            self._connections.leave(handshake)
