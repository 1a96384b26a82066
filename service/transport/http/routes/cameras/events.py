"""``/v1/cameras/{name}/events``: kept events as JSON, or as a stream of server-sent events."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from auth.principal import Scope
from schemas.cameras import CameraEvents
from service.transport.dependencies import CamerasDep, principal_of, requires, runtime_of
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.cameras.cameras import PREFIX, Name, may_see, visible_camera
from service.transport.http.routes.event_stream import (
    After,
    EventSource,
    Limit,
    answer_events,
    content,
    require_events,
)

router = APIRouter(
    prefix=PREFIX,
    tags=["cameras"],
    dependencies=[requires(Scope.CAMERAS), Depends(require_events)],
    responses=problems(401, 403, 404, 406, 422, 429, 500, 503),
)


@router.get(
    "/{name}/events",
    response_model=CameraEvents,
    responses=content('id: 7\nevent: state\ndata: {"id":7,"camera":"door","state":"open"}\n\n'),
)
async def get_camera_events(
    name: Name, request: Request, cameras: CamerasDep, after: After = None, limit: Limit = 100
) -> Response:
    """Return the kept events of a camera: the newest, or those after a cursor, oldest first.

    With `Accept: text/event-stream` new events are sent as they come, after those that the cursor
    asks for; `Last-Event-ID` is a cursor too.
    """
    await visible_camera(request, name)

    async def is_visible() -> bool:
        # The configuration alone: a report would be asked for as long as the stream is open.
        stored = await cameras.administration.get(name)
        return may_see(principal_of(request), runtime_of(request), stored.spec)

    source = EventSource(name, cameras.events, cameras.feed, is_visible)
    return await answer_events(request, source, CameraEvents, after, limit)
