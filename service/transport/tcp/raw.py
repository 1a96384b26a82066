"""One raw connection: plain float32 bytes of one sensor, without a token.

Nothing is sent to the device. Reading stops while the server has no room for samples, so that TCP
itself holds the device back. A new connection to the port ends the one before it: a device that
lost its power does not say goodbye.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import Overloaded, ServiceError
from schemas.sensor_wire.packing import FLOAT
from schemas.sensors import SensorAnswer, SensorFault
from service.sensors.ingest.ports import Channel, Ending, Intake, Samples
from service.transport.proxies import Network, is_among, parsed
from service.transport.tcp.connections import Connections
from service.transport.tcp.floats import FloatAssembler
from service.transport.tcp.transport import DeviceTransport

SAMPLE_SECONDS = 20.0
"""Time for the bytes of one sample to arrive."""


@dataclass(slots=True)
class RawContext:
    """Shared by the connections of one raw port.

    Attributes:
        current: the connection whose samples are taken.
    """

    sensor: str
    allow: Sequence[Network]
    idle_seconds: float
    intake: Intake
    metrics: Metrics
    connections: Connections
    has_log: bool
    current: RawConnection | None = None


class RawConnection(DeviceTransport):
    """One connection. It is the listener of its channel, too."""

    def __init__(self, context: RawContext) -> None:
        super().__init__(context.connections, context.metrics)
        self._context = context
        self._channel: Channel | None = None
        self._early = b""
        self._floats = FloatAssembler(1)
        self._waiting = np.empty((0, 1), FLOAT)
        self._heard = self.began
        self._incomplete_since: float | None = None
        self._is_held_back = False
        self._reason = "lost"

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection of an allowed address, unless there are too many."""
        super().connection_made(transport)
        address = parsed(self.address)
        if address is None or not is_among(address, self._context.allow):
            self._metrics.reject("sensor_network")
            self._stop("not allowed")
            return
        try:
            self._connections.enter(self)
        except Overloaded:
            self._stop("overloaded")
            return
        before, self._context.current = self._context.current, self
        self._connections.start(self._open(before))

    def data_received(self, data: bytes) -> None:
        """Take bytes; before the channel is open, keep one piece and stop reading."""
        if self.has_ended:
            return
        if self._channel is None:
            # Not in ``connection_made``: uvloop begins to read after it.
            self._early += data
            self._read(is_on=False)
            return
        self._heard = time.monotonic()
        self.received_bytes += len(data)
        values = self._floats.feed(data)
        if not self._floats.held_bytes:
            self._incomplete_since = None
        elif len(values) or self._incomplete_since is None:
            self._incomplete_since = self._heard
        if len(values):
            self._waiting = (
                np.concatenate((self._waiting, values)) if len(self._waiting) else values
            )
            self._offer()

    def eof_received(self) -> bool:
        """Return whether to stay open: no, there are no answers. What has waited is dropped."""
        self._reason = "end of input"
        return False

    def connection_lost(self, _exc: Exception | None) -> None:
        """Release everything; the channel commits its complete windows."""
        self._connections.leave(self)
        if self._context.current is self:
            self._context.current = None
        if self._channel is not None:
            self._connections.start(self._channel.close())
        if self._context.has_log:
            get_logger("sensors").info(
                "connection ended",
                door="raw_tcp",
                reason=self._reason,
                sensor=self._context.sensor,
                client=self.address,
                seconds=round(time.monotonic() - self.began, 2),
                received_bytes=self.received_bytes,
            )

    # Called by the connections.

    async def sweep(self, now: float) -> None:
        """Check the time limits."""
        if self._has_timed_out(now) or self._channel is None or self._is_paused:
            return
        if now - self._heard > self._context.idle_seconds:
            self._stop("idle")
        elif self._incomplete_since is not None and now - self._incomplete_since > SAMPLE_SECONDS:
            self._metrics.reject("slow_client")
            self._stop("slow")

    def drain(self) -> None:
        """End; the channel commits what is complete."""
        self._stop("drained")

    # Called by the channel.

    def safe(self, sequence: int, credit: int) -> None:
        """Offer what has waited for room."""
        del sequence, credit  # the channel has both
        self._offer()

    def result(self, answer: SensorAnswer) -> None:
        """Send nothing: the device does not read."""

    def fault(self, fault: SensorFault, detail: str) -> None:
        """Send nothing: the channel has counted it."""

    def pause(self) -> None:
        """Stop reading."""
        self._is_held_back = True
        self._read(is_on=False)

    def resume(self) -> None:
        """Read on, once there is room."""
        self._is_held_back = False
        self._offer()

    def closed(self, reason: Ending) -> None:
        """End the connection: the channel has ended."""
        self._stop(reason)

    # The channel.

    async def _open(self, before: RawConnection | None) -> None:
        """Open the channel, once that of the connection before has ended."""
        context = self._context
        try:
            if before is not None:
                await before.give_way()
            channel = await context.intake.open(
                context.sensor, epoch=None, principal=None, door="raw_tcp", listener=self
            )
        except ServiceError as error:
            self._metrics.errors.labels(error.code).inc()
            get_logger("sensors").warning(
                "raw connection refused", sensor=context.sensor, code=error.code
            )
            self._stop(error.code)
            return
        if self.has_ended or self.transport.is_closing():
            await channel.close()
            return
        self._channel = channel
        self._floats = FloatAssembler(channel.spec.channels)
        self._waiting = np.empty((0, channel.spec.channels), FLOAT)
        self._read(is_on=True)
        self.data_received(self._early)
        self._early = b""

    async def give_way(self) -> None:
        """End for another connection; return once the channel has ended."""
        self._stop("replaced")
        if self._channel is not None:
            await self._channel.close()

    def _offer(self) -> None:
        """Offer as many samples as there is room for; read on once all were offered."""
        channel = self._channel
        if channel is None or self.has_ended:
            return
        row = channel.spec.channels * FLOAT.itemsize
        while len(self._waiting) and not self._is_held_back:
            room = channel.credit // row - (channel.received - channel.next_sequence)
            if room <= 0:
                break
            values, self._waiting = self._waiting[:room], self._waiting[room:]
            try:
                channel.offer(Samples(None, values))
            except ServiceError as error:
                self._stop(error.code)
                return
        self._heard = time.monotonic() if self._is_paused else self._heard
        self._read(is_on=not len(self._waiting) and not self._is_held_back)

    def _stop(self, reason: str) -> None:
        if not self.has_ended and not self.transport.is_closing():
            self._reason = reason
            self._ends_at = time.monotonic()
            self.transport.abort()
