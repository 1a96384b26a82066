"""``/v1/sensors/{name}/events``: kept events as JSON, or as a stream of server-sent events."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from auth.principal import Scope
from schemas.sensors import SensorEvents
from service.transport.dependencies import SensorsDep, principal_of, requires
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.event_stream import (
    After,
    EventSource,
    Limit,
    answer_events,
    content,
    require_events,
)
from service.transport.http.routes.sensors.sensors import PREFIX, Name, may_see, visible_sensor

router = APIRouter(
    prefix=PREFIX,
    tags=["sensors"],
    dependencies=[requires(Scope.SENSORS), Depends(require_events)],
    responses=problems(401, 403, 404, 406, 422, 429, 500, 503),
)


@router.get(
    "/{name}/events",
    response_model=SensorEvents,
    responses=content('id: 7\nevent: state\ndata: {"id":7,"sensor":"pump-3","state":"worn"}\n\n'),
)
async def get_sensor_events(
    name: Name, request: Request, sensors: SensorsDep, after: After = None, limit: Limit = 100
) -> Response:
    """Return the kept events of a sensor: the newest, or those after a cursor, oldest first.

    With `Accept: text/event-stream` new events are sent as they come, after those that the cursor
    asks for; `Last-Event-ID` is a cursor too.
    """
    await visible_sensor(request, name)

    async def is_visible() -> bool:
        # The configuration alone: a report would be asked for as long as the stream is open.
        stored = await sensors.administration.get(name)
        return may_see(principal_of(request), stored.spec)

    source = EventSource(name, sensors.events, sensors.feed, is_visible)
    return await answer_events(request, source, SensorEvents, after, limit)
