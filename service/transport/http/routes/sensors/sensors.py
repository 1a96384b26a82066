"""``/v1/sensors``: sensors whose samples the server classifies; needs the scope ``sensors``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from auth.principal import Principal, Scope
from schemas.errors import NotFound
from schemas.sensors import (
    SENSOR_NAME_PATTERN,
    NewSensor,
    Sensor,
    SensorList,
    SensorResults,
    SensorSpec,
    SensorWindows,
)
from service.transport.dependencies import (
    PrincipalDep,
    SensorsDep,
    principal_of,
    require_model,
    requires,
    runtime_of,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.event_stream import MAX_CURSOR, Limit

PREFIX = "/v1/sensors"
router = APIRouter(
    prefix=PREFIX,
    tags=["sensors"],
    dependencies=[requires(Scope.SENSORS), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
BODIES = (NewSensor, SensorSpec)
"""Request bodies of the routes, which read them themselves."""
Name = Annotated[str, Path(pattern=SENSOR_NAME_PATTERN, max_length=63)]
_BODY = problems(408, 413, 415, 422)
_NAMED = problems(404, 422)


@router.get("")
async def list_sensors(sensors: SensorsDep, caller: PrincipalDep) -> SensorList:
    """List the sensors whose model the caller may use."""
    found = await sensors.directory.list()
    return SensorList(sensors=[one for one in found if caller.may_use(one.spec.model)])


@router.post(
    "", status_code=201, responses=problems(404, 409) | _BODY, openapi_extra=takes(NewSensor)
)
async def add_sensor(
    body: Annotated[NewSensor, Depends(JsonBody(NewSensor))],
    request: Request,
    sensors: SensorsDep,
    caller: PrincipalDep,
) -> Sensor:
    """Add a sensor; a device may send its samples at once.

    The model must be one that the caller may use, and take windows of as many channels.
    """
    require_model(request, body.model)
    await sensors.administration.add(body, by=caller.name)
    return await visible_sensor(request, body.name)


@router.get("/{name}", responses=_NAMED)
async def get_sensor(name: Name, request: Request) -> Sensor:
    """Return a sensor: its configuration, its state, rate and lag, the last answer, its faults."""
    return await visible_sensor(request, name)


@router.put("/{name}", responses=problems(404, 409) | _BODY, openapi_extra=takes(SensorSpec))
async def change_sensor(
    name: Name,
    body: Annotated[SensorSpec, Depends(JsonBody(SensorSpec))],
    request: Request,
    sensors: SensorsDep,
    caller: PrincipalDep,
) -> Sensor:
    """Replace the configuration of a sensor; a device that sends is disconnected, and comes back.

    A sensor that the server's configuration defines cannot be changed here.
    """
    await visible_sensor(request, name)
    require_model(request, body.model)
    await sensors.administration.change(name, body, by=caller.name)
    return await visible_sensor(request, name)


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 422))
async def remove_sensor(
    name: Name, request: Request, sensors: SensorsDep, caller: PrincipalDep
) -> None:
    """Remove a sensor, its results and its events."""
    await visible_sensor(request, name)
    await sensors.administration.remove(name, by=caller.name)


@router.post("/{name}/pause", responses=_NAMED)
async def pause_sensor(
    name: Name, request: Request, sensors: SensorsDep, caller: PrincipalDep
) -> Sensor:
    """Take no samples of a sensor; its state stays."""
    await visible_sensor(request, name)
    await sensors.administration.pause(name, is_paused=True, by=caller.name)
    return await visible_sensor(request, name)


@router.post("/{name}/resume", responses=_NAMED)
async def resume_sensor(
    name: Name, request: Request, sensors: SensorsDep, caller: PrincipalDep
) -> Sensor:
    """Take samples of a paused sensor again."""
    await visible_sensor(request, name)
    await sensors.administration.pause(name, is_paused=False, by=caller.name)
    return await visible_sensor(request, name)


@router.get("/{name}/results", responses=_NAMED)
async def get_sensor_results(
    name: Name,
    request: Request,
    sensors: SensorsDep,
    after: Annotated[
        int | None, Query(ge=0, le=MAX_CURSOR, description="Only results after this cursor.")
    ] = None,
    limit: Limit = 100,
) -> SensorResults:
    """Return the kept answers of a sensor: the newest, or those after a cursor, oldest first."""
    await visible_sensor(request, name)
    if after is None:
        found, cursor = await sensors.results.last(limit, sensor=name)
    else:
        found, cursor = await sensors.results.after(after, limit, sensor=name)
    return SensorResults(results=found, next=cursor)


@router.get("/{name}/windows", responses=_NAMED)
async def get_sensor_windows(name: Name, request: Request, sensors: SensorsDep) -> SensorWindows:
    """Return the last windows of a sensor, coarse enough to be drawn, and its last gaps.

    Empty until samples arrive after a start of the server; with several processes, it is of the
    process that receives the samples, and up to two seconds old.
    """
    await visible_sensor(request, name)
    return await sensors.directory.windows(name)


async def visible_sensor(request: Request, name: str) -> Sensor:
    """Return a sensor that the caller may see.

    Raises:
        NotFound: there is none, or its model is not one that the caller may use.
    """
    sensors = await runtime_of(request).sensors.get()
    found = await sensors.directory.get(name)
    if found is None or not may_see(principal_of(request), found.spec):
        raise NotFound("There is no sensor with this name.")
    return found


def may_see(caller: Principal, spec: SensorSpec) -> bool:
    """Return whether the caller may use the model of a sensor."""
    return caller.may_use(spec.model)
