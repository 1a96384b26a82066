"""Kept events of a camera or a sensor: as JSON, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Protocol, TypeVar, cast

from fastapi import Query, Request, Response
from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from schemas.errors import NotFound, NotReady, Unauthenticated
from service.coordination.feed import EventFeed
from service.coordination.kept_events import KeptEventStore
from service.transport.app_state import state_of
from service.transport.dependencies import principal_of, runtime_of
from service.transport.http.body.uploads import HttpState
from service.transport.http.middleware.negotiation import HEAD_KEY, prefers, require_json
from service.transport.open_streams import OpenStreams

EVENT_STREAM = "text/event-stream"
COMMENT_SECONDS = 15.0
"""A comment is sent so often: proxies close connections that are idle."""
RETRY_MS = 2000
AGAIN_SECONDS = 1.0
MOST = 1000
BATCH = 100
MAX_CURSOR = 2**63 - 1
After = Annotated[
    int | None, Query(ge=0, le=MAX_CURSOR, description="Only events with an id above this.")
]
Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many.")]


class KeptEvent(Protocol):
    """An event as it is sent."""

    @property
    def id(self) -> int:
        """The cursor."""

    @property
    def kind(self) -> str:
        """The name of the event."""

    def model_dump_json(self) -> str:
        """Return the data of the event."""


Event = TypeVar("Event", bound=KeptEvent)


@dataclass(frozen=True, slots=True)
class EventSource(Generic[Event]):
    """The events of one subject.

    Attributes:
        subject: name of the camera or the sensor.
        may_see: whether the caller may still see the subject. Raises ``NotFound`` if it was
            removed, or ``NotReady``.
    """

    subject: str
    events: KeptEventStore[Event]
    feed: EventFeed[Event]
    may_see: Callable[[], Awaitable[bool]]


class EventStreamResponse(StreamingResponse):
    """A stream of server-sent events, counted while it is open."""

    media_type = EVENT_STREAM

    def __init__(self, content: AsyncIterator[str], streams: OpenStreams, owner: str) -> None:
        """Count the stream.

        Raises:
            RateLimited: the owner has as many streams as permitted.
        """
        streams.enter(owner)
        self._streams, self._owner = streams, owner
        # Proxies must not collect it (nginx's name for that).
        super().__init__(content, headers={"cache-control": "no-store", "x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._owner)


def content(example: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of a stream for the OpenAPI document."""
    return {200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}, "example": example}}}}


def require_events(request: Request) -> None:
    """Raise ``NotAcceptable`` if the Accept header excludes both JSON and a stream."""
    if not prefers(request, EVENT_STREAM):
        require_json(request)


async def answer_events(
    request: Request,
    source: EventSource[Event],
    listing: type[BaseModel],
    after: int | None,
    limit: int,
) -> Response:
    """Return the kept events as JSON, or a stream of them if the caller prefers that.

    Args:
        listing: the model of the JSON, with the member ``events``.
        after: the cursor, before which a ``Last-Event-ID`` goes in a stream; None: the newest
            events, and in a stream only new ones.

    Raises:
        RateLimited: the caller has as many streams as permitted.
    """
    if prefers(request, EVENT_STREAM):
        return await _stream_events(request, source, after)
    if after is None:
        found = await source.events.last(limit, subject=source.subject)
    else:
        found = await source.events.after(after, limit, subject=source.subject)
    headers = {"cache-control": "no-store"}
    body = listing(events=list(found)).model_dump_json()
    return Response(body, headers=headers, media_type="application/json")


async def _stream_events(
    request: Request, source: EventSource[Event], after: int | None
) -> Response:
    """Return a stream of the events after a cursor, and of new ones as they come."""
    cursor, newest = _last_event_id(request, after), await source.events.newest()
    # A cursor of another store may lie in the future.
    body = _stream(request, source, newest if cursor is None else min(cursor, newest))
    if HEAD_KEY in request.scope:
        return Response(headers={"cache-control": "no-store"}, media_type=EVENT_STREAM)
    streams = cast("HttpState", state_of(request)).event_streams
    return EventStreamResponse(body, streams, principal_of(request).name)


def _last_event_id(request: Request, after: int | None) -> int | None:
    """Return the cursor of a client that comes back; one that is no number is ignored."""
    given = request.headers.get("last-event-id", "")
    if given.isascii() and given.isdecimal() and int(given[:20]) <= MAX_CURSOR:
        return int(given[:20])
    return after


async def _stream(request: Request, source: EventSource[Event], cursor: int) -> AsyncIterator[str]:
    """Yield events until the server drains, the token ends or the subject is removed."""
    draining = runtime_of(request).shutdown.draining
    yield f"retry: {RETRY_MS}\n\n"
    said, wakes = time.monotonic(), source.feed.wakes
    while not draining.is_set() and await _may_go_on(request, source):
        try:
            # Before the query: an event that is kept meanwhile ends the wait at once.
            newest = await source.feed.newest()
            found = await source.events.after(cursor, BATCH, subject=source.subject)
        except NotReady:
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        for event in found:
            cursor = event.id
            yield _text(event)
        if found:
            said = time.monotonic()
        if len(found) == BATCH:
            continue
        left = said + COMMENT_SECONDS - time.monotonic()
        await _wait(request, source.feed.wait(newest, left, wakes=wakes))
        wakes = source.feed.wakes
        if time.monotonic() >= said + COMMENT_SECONDS:
            said = time.monotonic()
            yield ":\n\n"
    if draining.is_set():
        yield f"retry: {RETRY_MS}\n\n"


async def _may_go_on(request: Request, source: EventSource[Event]) -> bool:
    """Return whether the subject is still there for the caller, whose token is still valid."""
    try:
        if not await source.may_see():
            return False
    except NotFound:
        return False
    except NotReady:  # the store may answer again
        pass
    return await is_valid(request)


async def is_valid(request: Request) -> bool:
    """Return whether the caller's token is still valid, as far as the store answers."""
    token = request.headers.get("authorization", "").partition(" ")[2].strip(" ")
    try:
        await runtime_of(request).identity.authenticator.authenticate(token)
    except Unauthenticated:
        return False
    except NotReady:
        pass
    return True


async def _wait(request: Request, event: Coroutine[None, None, None]) -> None:
    """Wait for ``event``, the end of the token, or the drain."""
    waiting: set[asyncio.Task[Any]] = {
        asyncio.create_task(event),
        asyncio.create_task(runtime_of(request).shutdown.draining.wait()),
    }
    try:
        while True:
            done, _ = await asyncio.wait(
                waiting, timeout=AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done or not await is_valid(request):
                return
    finally:
        for task in waiting:
            task.cancel()


def _text(event: KeptEvent) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
