"""``/v1/cameras/{name}/events``: kept events as JSON, or as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as ConnectionScope

from auth.principal import Scope
from schemas.cameras import CameraEvent, CameraEvents
from schemas.errors import NotFound, NotReady, Unauthenticated
from service.transport.app_state import state_of
from service.transport.dependencies import CamerasDep, principal_of, requires, runtime_of
from service.transport.http.body.uploads import HttpState
from service.transport.http.middleware.negotiation import HEAD_KEY, prefers, require_json
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.cameras import PREFIX, Name, may_see, visible_camera
from service.transport.open_streams import OpenStreams

EVENT_STREAM = "text/event-stream"
COMMENT_SECONDS = 15.0
"""A comment is sent so often: proxies close connections that are idle."""
RETRY_MS = 2000
AGAIN_SECONDS = 1.0
MOST = 1000
BATCH = 100
_STREAM: dict[str, Any] = {
    "schema": {"type": "string"},
    "example": 'id: 7\nevent: state\ndata: {"id":7,"camera":"door","state":"open"}\n\n',
}
MAX_CURSOR = 2**63 - 1


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

    async def __call__(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        """Send the stream until it ends or the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._owner)


def _require_events(request: Request) -> None:
    """Raise ``NotAcceptable`` if the Accept header excludes both forms."""
    if not prefers(request, EVENT_STREAM):
        require_json(request)


router = APIRouter(
    prefix=PREFIX,
    tags=["cameras"],
    dependencies=[requires(Scope.CAMERAS), Depends(_require_events)],
    responses=problems(401, 403, 404, 406, 422, 429, 500, 503),
)


@router.get(
    "/{name}/events",
    response_model=CameraEvents,
    responses={200: {"content": {EVENT_STREAM: _STREAM}}},
)
async def get_camera_events(
    name: Name,
    request: Request,
    cameras: CamerasDep,
    after: Annotated[
        int | None, Query(ge=0, le=MAX_CURSOR, description="Only events with an id above this.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="At most so many.")] = 100,
) -> Response:
    """Return the kept events of a camera: the newest, or those after a cursor, oldest first.

    With `Accept: text/event-stream` new events are sent as they come, after those that the cursor
    asks for; `Last-Event-ID` is a cursor too.
    """
    await visible_camera(request, name)
    headers = {"cache-control": "no-store"}
    if prefers(request, EVENT_STREAM):
        cursor, newest = _last_event_id(request, after), await cameras.events.newest()
        # A cursor of another store may lie in the future.
        body = _stream(request, name, newest if cursor is None else min(cursor, newest))
        if HEAD_KEY in request.scope:
            return Response(headers=headers, media_type=EVENT_STREAM)
        streams = cast("HttpState", state_of(request)).event_streams
        return EventStreamResponse(body, streams, principal_of(request).name)
    if after is None:
        found = await cameras.events.last(limit, camera=name)
    else:
        found = await cameras.events.after(after, limit, camera=name)
    events = CameraEvents(events=list(found))
    return Response(events.model_dump_json(), headers=headers, media_type="application/json")


def _last_event_id(request: Request, after: int | None) -> int | None:
    """Return the cursor of a client that comes back; one that is no number is ignored."""
    given = request.headers.get("last-event-id", "")
    if given.isascii() and given.isdecimal() and int(given[:20]) <= MAX_CURSOR:
        return int(given[:20])
    return after


async def _stream(request: Request, name: str, cursor: int) -> AsyncIterator[str]:
    """Yield events until the server drains, the token ends or the camera is removed."""
    runtime = runtime_of(request)
    events, draining, feed = runtime.cameras.events, runtime.shutdown.draining, runtime.cameras.feed
    yield f"retry: {RETRY_MS}\n\n"
    said, wakes = time.monotonic(), feed.wakes
    while not draining.is_set() and await _may_go_on(request, name):
        try:
            # Before the query: an event that is kept meanwhile ends the wait at once.
            newest = await feed.newest()
            found = await events.after(cursor, BATCH, camera=name)
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
        waiting = feed.wait(newest, said + COMMENT_SECONDS - time.monotonic(), wakes=wakes)
        await _wait(request, waiting)
        wakes = feed.wakes
        if time.monotonic() >= said + COMMENT_SECONDS:
            said = time.monotonic()
            yield ":\n\n"
    if draining.is_set():
        yield f"retry: {RETRY_MS}\n\n"


async def _may_go_on(request: Request, name: str) -> bool:
    """Return whether the camera is still there for the caller, whose token is still valid."""
    runtime = runtime_of(request)
    try:
        # The configuration alone: a report would be asked for as long as the stream is open.
        stored = await runtime.cameras.administration.get(name)
        if not may_see(principal_of(request), runtime, stored.spec):
            return False
    except NotFound:
        return False
    except NotReady:  # the store may answer again
        pass
    return await _is_valid(request)


async def _is_valid(request: Request) -> bool:
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
            if done or not await _is_valid(request):
                return
    finally:
        for task in waiting:
            task.cancel()


def _text(event: CameraEvent) -> str:
    return f"id: {event.id}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n"
