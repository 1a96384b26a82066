"""One framed connection: does for its session what needs waiting, clocks and sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import NotReady, Overloaded, ServerFault, ServiceError, Unauthenticated
from schemas.sensor_wire.messages import MAX_CREDIT, Ack, Hello, encode_result
from schemas.sensors import SensorAnswer, SensorFault
from service.runtime.identity import Identity
from service.sensors.ingest.ports import Channel, Ending, Intake, Samples
from service.transport.tcp.access import DeviceAccess
from service.transport.tcp.connections import Connections
from service.transport.tcp.outbox import Outbox
from service.transport.tcp.refusals import TokenRefusals
from service.transport.tcp.session import actions as do
from service.transport.tcp.session.session import Phase, Session, SessionLimits
from service.transport.tcp.transport import DeviceTransport

OPEN_SECONDS = 30.0
"""Time to check a token and open a channel."""
TURN_FRAMES = 256
"""Frames of one turn of the event loop; samples count as a frame for each ``FRAME_BYTES``.

One read may bring thousands of frames of one sample, or some that unpack to megabytes.
"""
FRAME_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FramedContext:
    """Shared by the connections of the framed port."""

    limits: SessionLimits
    intake: Intake
    identity: Identity
    metrics: Metrics
    connections: Connections
    refusals: TokenRefusals
    has_log: bool


class FramedConnection(DeviceTransport):
    """One connection. It is the listener of its channel, too."""

    def __init__(self, context: FramedContext, on_made: Callable[[], None] | None = None) -> None:
        """``on_made``: called once when the connection is made."""
        super().__init__(context.connections, context.metrics)
        self._context, self._on_made = context, on_made
        self._session = Session(context.limits, self.began)
        self._outbox = Outbox()
        self._channel: Channel | None = None
        self._access: DeviceAccess | None = None
        self._hello: Hello | None = None
        self._is_flush_due = False
        self._is_held_back = False  # by the intake
        self._unfinished: Iterator[do.Action] | None = None
        self._later: list[bytes] = []
        self._reason = "lost"

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if self._on_made is not None:
            self._on_made()
        context = self._context
        self._access = DeviceAccess(context.identity, context.refusals, self.address)
        try:
            self._connections.enter(self)
        except Overloaded as error:
            self._refuse(error)

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if self.has_ended:
            return
        self.received_bytes += len(data)
        if self._is_busy:  # TLS may hold some when reading stops
            self._later.append(data)
            return
        self._take(self._session.receive(data, time.monotonic()))

    def eof_received(self) -> bool:
        """Return whether to stay open, for the answers to what was received."""
        if not super().eof_received():
            return False
        if not self._is_busy:
            self._perform(self._session.end_of_input())
        return not self.transport.is_closing()

    def _take(self, actions: Iterator[do.Action]) -> None:
        """Perform the actions of a read; stop reading and go on in the next turn if it is long."""
        self._unfinished, work = None, 0
        try:
            for action in actions:
                self._perform((action,))
                if self.has_ended:
                    return
                work += 1
                if type(action) is do.Offer:
                    work += action.values.nbytes // FRAME_BYTES
                if work >= TURN_FRAMES:
                    self._unfinished = actions
                    asyncio.get_running_loop().call_soon(self._go_on)
                    break
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this connection alone
            self._refuse(_fault(error))
            return
        self._read_on()

    def _go_on(self) -> None:
        """Go on with a long read."""
        if self._unfinished is None or self.has_ended:
            return
        self._take(self._unfinished)
        while self._later and not (self._is_busy or self.has_ended):
            self._take(self._session.receive(self._later.pop(0), time.monotonic()))
        if self._has_peer_ended and not self._is_busy:
            self._perform(self._session.end_of_input())

    @property
    def _is_busy(self) -> bool:
        """Whether a read is not finished."""
        return self._unfinished is not None

    def _read_on(self) -> None:
        """Read if nothing speaks against it."""
        if not self.has_ended:
            self._read(is_on=not (self._is_busy or self._is_held_back))

    def connection_lost(self, _exc: Exception | None) -> None:
        """Release everything; the channel commits its complete windows."""
        self._session.lost()
        self._connections.leave(self)
        self._release()
        if self._context.has_log:
            self._log()

    def resume_writing(self) -> None:
        """Write what has waited."""
        super().resume_writing()
        self._flush()

    # Called by the connections.

    async def sweep(self, now: float) -> None:
        """Check the time limits, and the token."""
        if self._has_timed_out(now):
            return
        if self._is_paused:
            self._session.paused(now)
        self._perform(self._session.tick(now))
        if self._session.phase is Phase.OPEN and self._access is not None:
            try:
                await self._access.check()
            except Unauthenticated as error:
                self._perform(self._session.tick(time.monotonic()))  # it may just have expired
                self._refuse(error)
            except NotReady:
                pass  # the store does not answer, so nothing is committed either

    def drain(self) -> None:
        """Take no more samples; end once those that were taken are committed."""
        self._perform(self._session.drain())

    # Called by the channel.

    def safe(self, sequence: int, credit: int) -> None:
        """Acknowledge what is committed."""
        if not self.has_ended:
            self._outbox.acknowledge(_ack(sequence, credit))
            self._flush_soon()

    def result(self, answer: SensorAnswer) -> None:
        """Send an answer."""
        if not self.has_ended:
            self._outbox.add_result(encode_result(answer.first_sequence, answer.text.encode()))
            self._flush_soon()

    def fault(self, fault: SensorFault, detail: str) -> None:
        """Report samples that were not classified."""
        self._perform(self._session.fault(fault, detail))

    def pause(self) -> None:
        """Stop reading."""
        self._is_held_back = True
        self._read_on()

    def resume(self) -> None:
        """Read on."""
        self._is_held_back = False
        self._session.paused(time.monotonic())
        self._read_on()

    def closed(self, reason: Ending) -> None:
        """End the connection: the channel has ended."""
        self._perform(self._session.ended(reason))

    # Actions.

    def _perform(self, actions: Iterable[do.Action]) -> None:
        for action in actions:
            if self.has_ended:
                return
            match action:
                case do.Offer():
                    self._offer(action)
                case do.Open() | do.Renew() | do.Finish():
                    self._connections.start(self._work(action))
                case do.Report():
                    if self._channel is not None:
                        self._channel.report(action.fault, action.detail)
                case do.Close():
                    self._reason = action.reason
                    self._flush()
                    self._end()
                    self._release()
                case _:
                    self._send(action)

    async def _work(self, action: do.Open | do.Renew | do.Finish) -> None:
        match action:
            case do.Open():
                self._hello = action.hello
                await self._enter(action.hello)
            case do.Renew():
                await self._renew(action.token)
            case do.Finish():
                await self._finish()
            case _:
                assert_never(action)

    def _send(self, action: do.Send | do.SendAck | do.SendResult | do.AskForAck) -> None:
        match action:
            case do.Send():
                self._outbox.add(action.frame)
            case do.SendAck():
                self._outbox.acknowledge(action.ack)
            case do.SendResult():
                self._outbox.add_result(action.frame)
            case do.AskForAck():
                if self._channel is not None:
                    self._channel.touch()
                self._outbox.acknowledge(self._state())
            case _:
                assert_never(action)
        self._flush_soon()

    def _offer(self, offer: do.Offer) -> None:
        assert self._channel is not None  # noqa: S101 - the session is open
        try:
            self._channel.offer(Samples(offer.first, offer.values, offer.at))
        except ServiceError as error:  # beyond the credit: the device broke the rules
            self._refuse(error)

    async def _enter(self, hello: Hello) -> None:
        assert self._access is not None  # noqa: S101 - set when the connection was made
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                principal = await self._access.enter(hello.token, hello.name)
                channel = await self._context.intake.open(
                    hello.name,
                    epoch=hello.epoch,
                    principal=principal,
                    door="tcp",
                    listener=self,
                )
        except ServiceError as error:
            self._refuse(error)
            return
        except TimeoutError:
            self._refuse(NotReady(retry_after=5))
            return
        except Exception as error:  # noqa: BLE001 - it belongs to this connection alone
            self._refuse(_fault(error))
            return
        self._channel = channel
        if self._session.phase is not Phase.ENTERING:  # it ended meanwhile
            await channel.close()
            return
        expires_at = self._access.expires_at(time.monotonic())
        self._perform(self._session.opened(channel.spec.channels, self._state(), expires_at))

    async def _renew(self, token: str) -> None:
        assert self._access is not None  # noqa: S101 - set when the connection was made
        try:
            await self._access.renew(token)
        except ServiceError as error:
            self._metrics.errors.labels(error.code).inc()
            self._perform(self._session.reject(error))
            return
        self._perform(self._session.renewed(self._access.expires_at(time.monotonic())))

    async def _finish(self) -> None:
        if self._channel is None:
            return
        try:
            await self._channel.close()
        except Exception as error:  # noqa: BLE001 - it belongs to this connection alone
            self._refuse(_fault(error))
            return
        self._perform(self._session.finished(self._state()))

    def _release(self) -> None:
        """Let the channel commit its complete windows and end."""
        if self._channel is not None:
            self._connections.start(self._channel.close())

    def _refuse(self, error: ServiceError) -> None:
        """Send an error, and end the connection."""
        if self._session.phase is not Phase.CLOSED:
            self._metrics.errors.labels(error.code).inc()
            self._perform(self._session.refuse(error))

    def _state(self) -> Ack:
        assert self._channel is not None  # noqa: S101 - the session is open
        return _ack(self._channel.next_sequence, self._channel.credit)

    # Output.

    def _flush_soon(self) -> None:
        """Write once for all that comes in this turn of the event loop."""
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write what waits, unless the device does not read."""
        self._is_flush_due = False
        if self._stuck_since is None and not self.has_ended and not self.transport.is_closing():
            data = self._outbox.take()
            if data:
                self.transport.write(data)

    def _log(self) -> None:
        principal = self._access.principal if self._access else None
        get_logger("sensors").info(
            "connection ended",
            door="tcp",
            reason=self._reason,
            sensor=self._hello.name if self._hello else None,
            principal=principal.name if principal else None,
            client=self.address,
            seconds=round(time.monotonic() - self.began, 2),
            received_bytes=self.received_bytes,
            dropped_results=self._outbox.dropped,
        )


def _ack(sequence: int, credit: int) -> Ack:
    return Ack(sequence, max(0, min(credit, MAX_CREDIT)))


def _fault(error: Exception) -> ServerFault:
    get_logger("sensors").error("unexpected error", exc_info=error)
    fault = ServerFault()
    fault.__cause__ = error
    return fault
