"""State machine of one connection of a device.

::

    NEW ── HELLO ──> ENTERING ── opened ──> OPEN ── BYE, end of input, drain ──> LEAVING
     │                   │                   │                                      │ finished
     └── time limit ─────┴────── refuse ─────┴── fault, BYE of the server ──────────┴──> CLOSED

Invariants, each of them tested with arbitrary input:

* samples are offered in state OPEN alone, so never before a token was accepted;
* at most one complete or incomplete frame is held, bounded by its type's limit;
* there is exactly one ``Close``, and nothing after it.

Every method that takes ``now`` takes seconds on one clock that never goes backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from schemas.errors import InvalidRequest, ServiceError, UploadTimeout
from schemas.sensor_wire.frames import FIRST_FRAME, Frame, FrameDecoder, WireError, from_device
from schemas.sensor_wire.messages import Ack, Bye, Data, Error, Hello, Ping, Token, encode, parse
from schemas.sensors import SensorFault
from service.transport.tcp.errors import error_of
from service.transport.tcp.session.actions import (
    Action,
    AskForAck,
    Close,
    Finish,
    Offer,
    Open,
    Renew,
    Report,
    Send,
    SendAck,
)

FRAME_SECONDS = 20.0
"""Time for a frame to arrive whole, plus a second for every ``BYTES_PER_SECOND`` of it."""
BYTES_PER_SECOND = 4096


class Phase(Enum):
    """State of a connection."""

    NEW = auto()
    ENTERING = auto()
    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


_RECEIVING = {Phase.NEW, Phase.ENTERING, Phase.OPEN}


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of one connection, in seconds and bytes; see the settings ``[sensors]``."""

    hello_seconds: float
    idle_seconds: float
    max_frame_bytes: int


class Session:
    """One connection's session; see the module."""

    def __init__(self, limits: SessionLimits, now: float) -> None:
        self._limits = limits
        self._decoder = FrameDecoder(FIRST_FRAME)
        self._phase = Phase.NEW
        self._began = self._heard = now
        self._frame_since: float | None = None
        self._channels = 0
        self._expires_at = float("inf")
        self._is_renewing = False
        self._farewell: str | None = None

    @property
    def phase(self) -> Phase:
        """The state."""
        return self._phase

    # From the device.

    def receive(self, piece: bytes, now: float) -> Iterator[Action]:
        """Take bytes; perform each action before the next is asked for."""
        self._heard = now
        if self._phase not in _RECEIVING:
            return
        is_new = self._decoder.held_bytes == 0
        try:
            for frame in self._decoder.feed(piece):
                is_new = True
                yield from self._frame(frame)
                if self._phase not in _RECEIVING:
                    return
        except WireError as error:
            yield from self._refuse_frame(error)
            return
        if not self._decoder.held_bytes:
            self._frame_since = None
        elif is_new:
            self._frame_since = now

    def _frame(self, frame: Frame) -> Iterator[Action]:
        message = parse(frame)
        match message:
            case Data():
                values = message.values(self._channels, self._limits.max_frame_bytes)
                yield Offer(message.first, values, message.at)
            case Ping():
                yield AskForAck()
            case Hello():
                self._phase = Phase.ENTERING
                self._decoder.limits = {}
                yield Open(message)
            case Token():
                yield from self._renew(message.token)
            case Bye():
                yield from self.end_of_input()
            case _:
                raise AssertionError(message)  # the decoder's limits refuse the others

    def _renew(self, token: str) -> Iterator[Action]:
        if self._is_renewing:
            yield from self.refuse(InvalidRequest("Wait for the answer to the last TOKEN."))
            return
        self._is_renewing = True
        yield Renew(token)

    def end_of_input(self) -> list[Action]:
        """Take the end of what the device sends: BYE, or its half of the connection is closed."""
        return self._leave(None)

    def _refuse_frame(self, error: WireError) -> Iterator[Action]:
        if self._phase is Phase.OPEN:
            yield Report(error.fault, error.detail)
        fault = Error(error.fault.value, error.detail, fatal=True)
        yield from self._close(f"{error.fault}: {error.detail}", encode(fault))

    # From the connection, as the results of actions.

    def opened(self, channels: int, ack: Ack, expires_at: float) -> list[Action]:
        """Accept samples of so many channels; ``expires_at``: of the token, on the clock."""
        if self._phase is not Phase.ENTERING:
            return []
        self._phase, self._channels, self._expires_at = Phase.OPEN, channels, expires_at
        self._decoder.limits = from_device(self._limits.max_frame_bytes)
        return [SendAck(ack)]

    def renewed(self, expires_at: float) -> list[Action]:
        """Replace the token; an ACK confirms it."""
        self._is_renewing = False
        if self._phase is not Phase.OPEN:
            return []
        self._expires_at = expires_at
        return [AskForAck()]

    def reject(self, error: ServiceError) -> list[Action]:
        """Report that a TOKEN was refused; the former one stays."""
        self._is_renewing = False
        return [] if self._phase is not Phase.OPEN else [Send(encode(error_of(error)))]

    def refuse(self, error: ServiceError) -> list[Action]:
        """End the connection because of an error."""
        return self._close(error.code, encode(error_of(error, fatal=True)))

    def finished(self, ack: Ack) -> list[Action]:
        """Take the end of the channel, with its last state."""
        if self._phase is not Phase.LEAVING:
            return []
        bye = [] if self._farewell is None else [encode(Bye(self._farewell))]
        return [SendAck(ack), *self._close(self._farewell or "bye", *bye)]

    # From the channel.

    def fault(self, fault: SensorFault, detail: str) -> list[Action]:
        """Report samples that were not classified; the stream goes on."""
        if self._phase not in {Phase.OPEN, Phase.LEAVING}:
            return []
        return [Send(encode(Error(fault.value, detail)))]

    def ended(self, reason: str) -> list[Action]:
        """Take the channel's end by the server."""
        return self._close(reason, encode(Bye(reason)))

    # From the clock and the server.

    def tick(self, now: float) -> list[Action]:
        """Check the time limits; call it about once a second."""
        if self._phase is Phase.NEW and now - self._began > self._limits.hello_seconds:
            return self.refuse(UploadTimeout("There was no HELLO in time."))
        if self._phase is not Phase.OPEN:
            return []
        if now >= self._expires_at:
            return self.ended("expired")
        if now - self._heard > self._limits.idle_seconds:
            return self.ended("idle")
        if self._frame_since is not None:
            allowed = FRAME_SECONDS + self._decoder.held_bytes / BYTES_PER_SECOND
            if now - self._frame_since > allowed:
                return self.refuse(UploadTimeout("A frame did not arrive in time."))
        return []

    def paused(self, now: float) -> None:
        """Note that the server does not read at the moment: the device cannot be heard."""
        self._heard = now
        self._frame_since = None if self._frame_since is None else now

    def drain(self) -> list[Action]:
        """Take no more samples; close once those that were taken are committed."""
        return self._leave("drained")

    def lost(self) -> None:
        """End the session of a connection that is gone."""
        self._phase = Phase.CLOSED

    def _leave(self, farewell: str | None) -> list[Action]:
        if self._phase is Phase.OPEN:
            self._phase, self._farewell = Phase.LEAVING, farewell
            return [Finish()]
        if self._phase in _RECEIVING:
            return self._close(farewell or "bye", *([encode(Bye(farewell))] if farewell else []))
        return []

    def _close(self, reason: str, *frames: bytes) -> list[Action]:
        if self._phase is Phase.CLOSED:
            return []
        self._phase = Phase.CLOSED
        return [*map(Send, frames), Close(reason)]
