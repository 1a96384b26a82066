"""One WebSocket: does for its session what needs waiting, clocks and sockets.

One task reads, one writes, one keeps time, and each frame has one while it is classified. Reading
stops while the client does not take what was written, so that all buffers are bounded; the server's
sweep then aborts the connection.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from typing import assert_never, cast

from starlette.types import Receive, Scope, Send

from observability.logs.logging import get_logger
from schemas.errors import (
    InsufficientScope,
    NotReady,
    ServerFault,
    ServiceError,
    Unauthenticated,
)
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.serving.ticket import Ticket
from service.transport import admission
from service.transport.app_state import AppState
from service.transport.http.middleware.errors import STATUS, problem_of, record_error
from service.transport.http.server.websocket import DRAIN_MESSAGE, WIRE_KEY, StreamProtocol
from service.transport.http.stream.access import Access
from service.transport.http.stream.outbox import Outbox
from service.transport.http.stream.session import actions as do
from service.transport.http.stream.session.closing import CloseCode, refusal_code
from service.transport.http.stream.session.framing import HEADER_BYTES
from service.transport.http.stream.session.messages import Hello, StreamOptions
from service.transport.http.stream.session.resumption import Resumptions
from service.transport.http.stream.session.session import Session
from service.transport.http.stream.traces import StreamTraces, note_outcome

PROTOCOL = "websocket"
TICK_SECONDS = 1.0


class StreamConnection:
    """One stream from its handshake to its end."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        state: AppState,
        session: Session,
        access: Access,
        resumptions: Resumptions,
        traces: StreamTraces,
    ) -> None:
        self._scope, self._receive, self._outbox = scope, receive, Outbox(send)
        self._runtime, self._metrics = state.runtime, state.metrics
        self._max_bytes = state.settings.limits.max_body_bytes + HEADER_BYTES
        self._session, self._access, self._resumptions = session, access, resumptions
        self._traces = traces
        self._request_id: str = scope["state"]["request_id"]
        self._identifier: str | None = None
        self._frames: set[asyncio.Task[None]] = set()
        self._code: int | None = None

    async def run(self) -> int:
        """Serve the stream to its end; return the close code."""
        writing = asyncio.create_task(self._outbox.write_all())
        keeping = asyncio.create_task(self._keep_time())
        try:
            code = await self._read()
        except Exception:  # noqa: BLE001 - whatever it is, the client learns that the stream ends
            get_logger("http").exception("unexpected error", request_id=self._request_id)
            self._perform(self._session.fault())
            await writing
            code = int(CloseCode.FAULT)
        finally:
            for task in (writing, keeping, *self._frames):
                task.cancel()
            self._session.lost()
            if self._identifier is not None:
                self._resumptions.end(self._identifier, time.monotonic())
        return code if self._code is None else self._code

    # The tasks that read and keep time.

    async def _read(self) -> int:
        """Pass messages to the session until the connection ends; return the close code."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return cast("int", message.get("code", 1005))
            if message["type"] == DRAIN_MESSAGE:
                self._perform(self._session.drain())
                continue
            data = message.get("bytes")
            if data is None:
                data = message["text"]
            await self._take(self._session.receive(data, time.monotonic()))
            await self._outbox.wait_for_room()

    async def _keep_time(self) -> None:
        while not self._session.is_closed:
            await asyncio.sleep(TICK_SECONDS)
            self._perform(self._session.tick(time.monotonic()))
            try:
                await self._access.check()
            except Unauthenticated as error:
                self._refuse(error)
            except NotReady:
                pass  # the next frame is refused

    # Actions.

    async def _take(self, actions: Iterable[do.Action]) -> None:
        """Perform actions, among them those that wait."""
        for action in actions:
            match action:
                case do.Authenticate():
                    self._perform(await self._authenticate(action.hello))
                case do.Renew():
                    self._perform(await self._renew(action.token))
                case _:
                    self._perform([action])

    def _perform(self, actions: Iterable[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Send():
                    self._count(action.message)
                    self._outbox.add(action.message)
                case do.SendError():
                    self._send_error(action)
                case do.Classify():
                    task = asyncio.create_task(self._classify(action.frame))
                    self._frames.add(task)
                    task.add_done_callback(self._frames.discard)
                case do.CheckOptions():
                    self._perform(self._check_options(action.options))
                case do.Refuse():
                    self._send_error(do.SendError(action.error))
                    status = STATUS[action.error.code]
                    self._close(refusal_code(status), action.error.code)
                case do.Close():
                    self._close(action.code, action.reason)
                case do.Authenticate() | do.Renew():
                    raise AssertionError(action)  # only messages of the client cause these
                case _:
                    assert_never(action)

    async def _authenticate(self, hello: Hello) -> list[do.Action]:
        now = time.monotonic()
        try:
            if hello.token is not None:
                await self._access.enter([f"Bearer {hello.token}"])
            if self._access.principal is None:
                raise Unauthenticated
            grant = self._access.grant(now)
            found = None
            if hello.resume is not None:
                found = self._resumptions.take(hello.resume, grant.owner, now)
            options = (found.options if found else StreamOptions()).changed_by(hello.options)
            self._ticket(options)
        except ServiceError as error:
            return self._session.refuse(error)
        state = found or do.SessionState(grant.owner, options)
        state.options = options
        self._identifier = self._resumptions.keep(state)
        cast("StreamProtocol", self._scope["state"][WIRE_KEY]).accept_messages(self._max_bytes)
        return self._session.admitted(
            grant, state, self._identifier, now, is_resumed=found is not None
        )

    async def _renew(self, token: str) -> list[do.Action]:
        try:
            await self._access.renew(token)
        except ServiceError as error:
            return self._session.reject(error)
        now = time.monotonic()
        return self._session.renewed(self._access.grant(now), now)

    def _check_options(self, options: StreamOptions) -> list[do.Action]:
        try:
            self._ticket(options)
        except ServiceError as error:
            return self._session.reject(error)
        return self._session.apply(options, time.monotonic())

    def _ticket(self, options: StreamOptions) -> Ticket:
        principal = self._access.principal
        assert principal is not None  # noqa: S101 - the hello was accepted
        call = CallContext(
            principal.name,
            principal.weight,
            PROTOCOL,
            Priority(options.priority),
            None if options.timeout_ms is None else options.timeout_ms / 1000,
        )
        return admission.issue_ticket(
            self._runtime, principal, options.model, options.version, call
        )

    async def _classify(self, frame: do.Frame) -> None:
        try:
            with self._traces.of_frame(frame, time.monotonic()) as trace:
                outcome = await self._outcome(frame)
                note_outcome(trace, outcome)
        except (Unauthenticated, InsufficientScope) as error:
            self._refuse(error)
            return
        self._perform(self._session.answered(frame, outcome, time.monotonic()))

    async def _outcome(self, frame: do.Frame) -> do.Answer | ServiceError:
        """Classify a frame.

        Raises:
            Unauthenticated, InsufficientScope: the token ends the stream.
        """
        classifier, options = self._runtime.classifier, frame.options
        try:
            await self._access.count_frame()
            ticket = self._ticket(options)
            classifier.admit(ticket)
            return await classifier.classify(frame.image, ticket, top_k=options.top_k)
        except (Unauthenticated, InsufficientScope):
            raise
        except ServiceError as error:
            return error
        except Exception as error:  # noqa: BLE001 - it belongs to this frame alone
            get_logger("http").exception("unexpected error", request_id=self._request_id)
            fault = ServerFault()
            fault.__cause__ = error
            return fault

    def _refuse(self, error: ServiceError) -> None:
        """End the stream because of its token, which may also just have expired."""
        self._perform(self._session.tick(time.monotonic()))
        self._perform(self._session.refuse(error))

    # Output.

    def _send_error(self, action: do.SendError) -> None:
        error = action.error
        record_error(self._metrics, error, self._request_id)
        if action.credits:
            self._metrics.streams.count_frames("failed", 1)
        problem = problem_of(error, self._request_id).model_dump(mode="json", exclude_none=True)
        message: dict[str, object] = {
            "type": "error",
            "frame": action.frame,
            "problem": problem,
            "credits": action.credits,
        }
        if error.retry_after is not None:
            message["retry_after"] = max(1, math.ceil(error.retry_after))
        self._outbox.add(message)

    def _count(self, message: dict[str, object]) -> None:
        if message["type"] == "result":
            self._metrics.streams.count_frames("answered", 1)
            self._metrics.streams.age.observe(cast("float", message["age_ms"]) / 1000)
        elif message["type"] == "dropped":
            self._metrics.streams.count_frames("dropped", 1)

    def _close(self, code: int, reason: str) -> None:
        self._code = code
        self._outbox.close(code, reason)
