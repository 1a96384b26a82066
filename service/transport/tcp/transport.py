"""Base of framed and raw connections: their transport, its reading, and how it ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import cast

from observability.metrics.metrics import Metrics
from service.transport.tcp.connections import Connections

LINGER_SECONDS = 1.0
"""A closed connection still reads for so long, and drops what it reads: closing while bytes come in
would reset it before the device has read the reason."""
STUCK_SECONDS = 10.0
"""A device that takes no bytes for so long is dropped."""
HIGH_WATER_BYTES = 65_536


class DeviceTransport(asyncio.Protocol):
    """Base of the protocols of one connection."""

    transport: asyncio.Transport

    def __init__(self, connections: Connections, metrics: Metrics) -> None:
        self._connections, self._metrics = connections, metrics
        self._is_paused = False
        self._stuck_since: float | None = None
        self._ends_at: float | None = None
        self._has_peer_ended = False
        self.began = time.monotonic()
        self.received_bytes = 0

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what waits to be written."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def pause_writing(self) -> None:
        """Note that the device does not take what was written."""
        self._stuck_since = time.monotonic()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._stuck_since = None

    def eof_received(self) -> bool:
        """Note that the device sends nothing more; return whether to stay open."""
        self._has_peer_ended = True
        return not self.has_ended

    # Called by the connections.

    def abort(self) -> None:
        """End at once."""
        self.transport.abort()

    @property
    def address(self) -> str:
        """Address of the peer; empty if it is gone already."""
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if peer else ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing is read or written any more."""
        return self._ends_at is not None

    def _has_timed_out(self, now: float) -> bool:
        """Abort a connection that lingers, or whose device takes no bytes; return whether."""
        if self._ends_at is not None:
            is_over = now >= self._ends_at
        else:
            is_over = self._stuck_since is not None and now - self._stuck_since > STUCK_SECONDS
            if is_over:
                self._metrics.reject("slow_client")
        if is_over:
            self.transport.abort()
        return is_over

    def _end(self) -> None:
        """Send what was written, then close; called once."""
        self._ends_at = time.monotonic() + LINGER_SECONDS
        self._read(is_on=True)  # else the end of the peer is not seen
        if self._has_peer_ended or not self.transport.can_write_eof():
            self.transport.close()  # TLS has no half-closed connections
            return
        with suppress(OSError):  # the device is gone already
            self.transport.write_eof()

    def _read(self, *, is_on: bool) -> None:
        """Read, or stop reading."""
        if self._is_paused is not is_on or self.transport.is_closing():
            return
        self._is_paused = not is_on
        if is_on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
