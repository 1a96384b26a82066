"""State machine of one stream. Pure: it neither waits, nor reads a clock, nor sends.

::

    NEW ── hello ──> ENTERING ── admitted ──> OPEN ── drain ──> LEAVING
                         │                      │                  │  the last frame is answered
                         └──────── refuse ──────┴──────────────────┴──> CLOSED

Invariants, each of them tested with arbitrary sequences of messages:

* every frame that is accepted gets exactly one ``result``, ``error`` or ``dropped``, unless the
  stream is closed first;
* results and errors of frames are in the order of the frames; ``dropped`` is sent at once;
* each of the three gives back one credit, and no more than ``CREDITS`` frames are held;
* the bytes of all frames are given back to the budget.

Every method that takes ``now`` takes seconds on one clock that never goes backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import assert_never

from schemas.errors import InvalidRequest, RateLimited, ServiceError
from service.transport.http.stream.session import replies
from service.transport.http.stream.session.actions import (
    Action,
    Answer,
    Authenticate,
    Budget,
    CheckOptions,
    Classify,
    Close,
    Frame,
    FrameRate,
    Grant,
    Refuse,
    Renew,
    Send,
    SendError,
    SessionState,
)
from service.transport.http.stream.session.closing import CloseCode
from service.transport.http.stream.session.frames import FrameQueue
from service.transport.http.stream.session.framing import parse_frame, require_image
from service.transport.http.stream.session.messages import (
    ChangeOptions,
    Hello,
    Ping,
    RenewToken,
    StreamOptions,
    parse_message,
)
from service.transport.http.stream.session.smoothing import Smoother

CREDITS = 8
"""Frames that a client may have sent without an answer."""
HELLO_SECONDS = 10.0
"""Time limit for the first message."""


class Phase(Enum):
    """State of a stream."""

    NEW = auto()
    ENTERING = auto()
    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


class Session:
    """One connection's session; see the module."""

    def __init__(self, *, idle_seconds: float, rate: FrameRate, budget: Budget, now: float) -> None:
        """``idle_seconds``: longest silence of the client before the stream is closed."""
        self._idle_seconds, self._rate, self._budget = idle_seconds, rate, budget
        self._phase, self._heard = Phase.NEW, now
        self._queue = FrameQueue()
        self._smoother = Smoother(1)
        self._grant = Grant("", float("inf"))
        self._state = SessionState("", StreamOptions())

    @property
    def is_closed(self) -> bool:
        """Whether a close was asked for; nothing is sent after it."""
        return self._phase is Phase.CLOSED

    @property
    def state(self) -> SessionState:
        """Options and counters."""
        return self._state

    # From the client.

    def receive(self, data: str | bytes, now: float) -> list[Action]:
        """Take one message of the client."""
        self._heard = now
        if self._phase in {Phase.NEW, Phase.ENTERING}:
            return self._first(data)
        if self._phase is Phase.OPEN and isinstance(data, bytes):
            return [*self._frame(data, now)]
        if self._phase in {Phase.OPEN, Phase.LEAVING} and isinstance(data, str):
            try:
                return [*self._text(data)]
            except ServiceError as error:
                return [SendError(error)]
        return []  # frames after the announcement of a restart, and everything after the end

    def _first(self, data: str | bytes) -> list[Action]:
        try:
            message = parse_message(data) if isinstance(data, str) else None
        except ServiceError as error:
            return [SendError(error), *self._close(CloseCode.FIRST_MESSAGE, "invalid hello")]
        if self._phase is not Phase.NEW or not isinstance(message, Hello):
            fault = InvalidRequest("The first message is a hello.")
            return [SendError(fault), *self._close(CloseCode.FIRST_MESSAGE, "no hello")]
        self._phase = Phase.ENTERING
        return [Authenticate(message)]

    def _text(self, data: str) -> Iterator[Action]:
        message = parse_message(data)
        match message:
            case Hello():
                yield SendError(InvalidRequest("The stream had its hello already."))
            case ChangeOptions():
                yield CheckOptions(self._state.options.changed_by(message.options))
            case RenewToken():
                yield Renew(message.token)
            case Ping():
                yield Send({"type": "pong", "id": message.id})
            case _:
                assert_never(message)

    def _frame(self, data: bytes, now: float) -> Iterator[Action]:
        if len(self._queue) >= CREDITS:
            yield from self._close(CloseCode.NO_CREDIT, "no credit left")
            return
        self._state.counters.received += 1
        frame = Frame(None, b"", now, self._state.options)
        try:
            frame.number, image = parse_frame(data)
            require_image(image)
            if wait := self._rate.wait(self._grant.owner, now):
                raise RateLimited("Too many frames per second.", retry_after=wait)
            self._budget.take(len(image))
            frame.image = image
        except ServiceError as error:
            frame.outcome = error
        replaced = self._queue.add(frame)
        if replaced is not None:
            yield self._drop(replaced)
        yield from self._go_on(now)

    def _drop(self, frame: Frame) -> Action:
        self._budget.give_back(len(frame.image))
        counters = self._state.counters
        counters.dropped += 1
        return replies.dropped(frame, counters.dropped)

    # From the connection, as the results of actions.

    def admitted(
        self, grant: Grant, state: SessionState, identifier: str, now: float, *, is_resumed: bool
    ) -> list[Action]:
        """Open the stream, with options and counters that may be those of an earlier connection."""
        if self._phase is not Phase.ENTERING:
            return []
        self._phase, self._grant, self._state = Phase.OPEN, grant, state
        self._smoother = Smoother(state.options.smooth)
        return [
            replies.welcome(
                state,
                identifier,
                is_resumed=is_resumed,
                granted=CREDITS,
                idle_seconds=self._idle_seconds,
                expires_in=self._left(now),
            )
        ]

    def refuse(self, error: ServiceError) -> list[Action]:
        """End the stream: its credentials or options were refused, or its token was revoked."""
        return [Refuse(error)] if self._end() else []

    def reject(self, error: ServiceError) -> list[Action]:
        """Report that a message had no effect; the stream goes on."""
        return [] if self.is_closed else [SendError(error)]

    def renewed(self, grant: Grant, now: float) -> list[Action]:
        """Replace the token."""
        if self.is_closed:
            return []
        self._grant = grant
        return [Send({"type": "token", "expires_in": self._left(now)})]

    def apply(self, options: StreamOptions, now: float) -> list[Action]:
        """Use other options for the frames that come now."""
        if self.is_closed:
            return []
        before, self._state.options = self._state.options, options
        if (before.model, before.version, before.smooth) != (
            options.model,
            options.version,
            options.smooth,
        ):
            self._smoother = Smoother(options.smooth)
        return [replies.options(options), *self._go_on(now)]

    def answered(self, frame: Frame, outcome: Answer | ServiceError, now: float) -> list[Action]:
        """Take the outcome of a frame that was classified."""
        if self.is_closed:
            return []
        frame.outcome = outcome
        self._budget.give_back(len(frame.image))
        frame.image = b""
        return [*self._go_on(now)]

    # From the clock and the server.

    def tick(self, now: float) -> list[Action]:
        """Check the time limits; call it about once a second."""
        if now >= self._grant.expires_at:
            return self._close(CloseCode.EXPIRED, "token expired")
        is_new = self._phase in {Phase.NEW, Phase.ENTERING}
        if now - self._heard > (HELLO_SECONDS if is_new else self._idle_seconds):
            return self._close(CloseCode.SILENT, "no hello" if is_new else "idle")
        return []

    def drain(self) -> list[Action]:
        """Accept no more frames; close once those that were accepted are answered."""
        if self._phase in {Phase.CLOSED, Phase.LEAVING}:
            return []
        is_open, self._phase = self._phase is Phase.OPEN, Phase.LEAVING
        return [*([replies.goodbye()] if is_open else []), *self._leave()]

    def fault(self) -> list[Action]:
        """End the stream because the server failed."""
        return self._close(CloseCode.FAULT, "server fault")

    def lost(self) -> None:
        """End the session of a connection that is gone."""
        self._end()

    # Answers.

    def _go_on(self, now: float) -> Iterator[Action]:
        for frame in self._queue.leave():
            yield from self._answer(frame, now)
        yield from map(Classify, self._queue.start())
        yield from self._leave()

    def _leave(self) -> list[Action]:
        if self._phase is Phase.LEAVING and not len(self._queue):
            return self._close(CloseCode.RESTART, "restart")
        return []

    def _answer(self, frame: Frame, now: float) -> Iterator[Action]:
        counters = self._state.counters
        if isinstance(frame.outcome, ServiceError):
            counters.failed += 1
            yield SendError(frame.outcome, frame.number, credits=1)
            return
        assert frame.outcome is not None  # noqa: S101 - only such frames leave the queue
        counters.answered += 1
        message = replies.result(
            frame, frame.outcome, age=now - frame.arrived, dropped=counters.dropped
        )
        if self._state.options.smooth == 1:
            yield Send(message)
            return
        before = self._smoother.summary
        _, answer = frame.outcome
        has_changed = self._smoother.add(answer.summary)
        after = self._smoother.summary
        yield Send(message | {"smoothed": after})
        if has_changed:
            yield replies.event(frame, before, after)

    # The end.

    def _close(self, code: CloseCode, reason: str) -> list[Action]:
        return [Close(code, reason)] if self._end() else []

    def _end(self) -> bool:
        """Give back what is held; return whether the stream was open."""
        if self.is_closed:
            return False
        self._phase = Phase.CLOSED
        for frame in self._queue.clear():
            self._budget.give_back(len(frame.image))
            frame.image = b""
        return True

    def _left(self, now: float) -> float:
        """Return the seconds until the token expires."""
        return round(max(0.0, self._grant.expires_at - now), 3)
