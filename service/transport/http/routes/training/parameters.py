"""``/v1/parameters``: workers pull parameters and push gradients; needs the scope ``train``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from auth.principal import Scope
from schemas.errors import InvalidParameter, UnsupportedMediaType, Violation
from schemas.parameters import (
    MAX_SAMPLES,
    NewParameterRun,
    ParameterRun,
    ParameterRunList,
    Pushed,
    RunName,
    WorkerName,
)
from service.transport.dependencies import (
    ParametersDep,
    PrincipalDep,
    requires,
    settings_of,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import BINARY, problems
from service.transport.http.routes.training.federations import BODY, OCTETS, is_admin

PREFIX = "/v1/parameters"
router = APIRouter(
    prefix=PREFIX,
    tags=["training"],
    dependencies=[requires(Scope.TRAIN), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
tensors = APIRouter(
    prefix=PREFIX,
    tags=["training"],
    dependencies=[requires(Scope.TRAIN)],
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
BODIES = (NewParameterRun,)
"""Request bodies of the routes, which read them themselves."""
Name = Annotated[RunName, Path()]
_VERSION = re.compile(r'"?([0-9]{1,15})"?')
_ETAG = {"ETag": {"description": "The version.", "schema": {"type": "string"}}}
_TENSORS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Tensors by name, in the form of safetensors: F32, or I8 with scales.",
        "content": {OCTETS: {"schema": BINARY}},
    }
}
_PULLED: dict[int | str, dict[str, Any]] = {
    200: {"content": {OCTETS: {"schema": BINARY}}, "headers": _ETAG},
    304: {"description": "The version is the one in If-None-Match.", "headers": _ETAG},
}


@router.get("")
async def list_parameter_runs(parameters: ParametersDep, caller: PrincipalDep) -> ParameterRunList:
    """List the runs that the caller is one of, by name."""
    from service.parameters.records import shown

    found = await parameters.all(by=caller.name, is_admin=is_admin(caller))
    return ParameterRunList(runs=[shown(run) for run in found])


@router.post(
    "", status_code=201, responses=problems(409) | BODY, openapi_extra=takes(NewParameterRun)
)
async def add_parameter_run(
    body: Annotated[NewParameterRun, Depends(JsonBody(NewParameterRun))],
    response: Response,
    parameters: ParametersDep,
    caller: PrincipalDep,
) -> ParameterRun:
    """Add a run: who may push, the server's optimiser, and how many pushes a step waits for."""
    from service.parameters.records import shown

    run = await parameters.add(body, by=caller.name)
    response.headers["location"] = f"{PREFIX}/{body.name}"
    return shown(run)


@router.get("/{run}/state", responses=problems(404, 422))
async def get_parameter_run(
    run: Name, parameters: ParametersDep, caller: PrincipalDep
) -> ParameterRun:
    """Return how far a run is: its version, and the pushes that were taken and refused."""
    from service.parameters.records import shown

    found = await parameters.get(run, by=caller.name, is_admin=is_admin(caller))
    return shown(await parameters.current(found))


@router.delete("/{run}", status_code=204, responses=problems(404, 422))
async def remove_parameter_run(run: Name, parameters: ParametersDep, caller: PrincipalDep) -> None:
    """Remove a run with its parameters. For its owner."""
    await parameters.remove(run, by=caller.name, is_admin=is_admin(caller))


@router.put("/{run}", responses=problems(404, 409) | BODY, openapi_extra=_TENSORS)
async def begin_parameter_run(
    run: Name, request: Request, parameters: ParametersDep, caller: PrincipalDep
) -> ParameterRun:
    """Send the first parameters of a run, version 1. For its owner."""
    from service.parameters.records import shown

    await parameters.require_owner(run, by=caller.name, is_admin=is_admin(caller))
    with uploads_of(request).hold as hold:
        data = await uploads_of(request).reader.read(request, hold, _limit(request))
        return shown(await parameters.begin(run, data))


@tensors.get("/{run}", response_class=Response, responses=_PULLED)
async def pull_parameters(
    run: Name,
    parameters: ParametersDep,
    caller: PrincipalDep,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the parameters of the last version, which the header ETag says."""
    found = await parameters.get(run, by=caller.name, is_admin=is_admin(caller))
    found = await parameters.current(found)
    headers = {"etag": f'"{found.version}"', "cache-control": "no-store"}
    if found.version and _version(if_none_match) == found.version:
        return Response(status_code=304, headers=headers)
    values = await parameters.values(found)
    return Response(values, headers=headers, media_type=OCTETS)


@router.post("/{run}/gradients", responses=problems(404, 409) | BODY, openapi_extra=_TENSORS)
async def push_gradients(
    run: Name,
    samples: Annotated[
        int, Query(ge=1, le=MAX_SAMPLES, description="Samples that they are of: their weight.")
    ],
    request: Request,
    parameters: ParametersDep,
    caller: PrincipalDep,
    worker: Annotated[
        WorkerName, Query(description="Which of the account's workers it is.")
    ] = "worker",
    if_match: Annotated[
        str | None, Header(description="ETag of the parameters that they are of; required.")
    ] = None,
) -> Pushed:
    """Push gradients of the parameters that `If-Match` names.

    `409` if too many steps were done since, or if the worker has pushed for this version: pull and
    compute again.
    """
    from service.parameters.administration import NewPush

    await parameters.get(run, by=caller.name)
    version = _version(if_match)
    if version is None:
        detail = "must be the ETag of the parameters that were pulled"
        raise InvalidParameter(violations=(Violation("/header/if-match", detail),))
    with uploads_of(request).hold as hold:
        data = await uploads_of(request).reader.read(request, hold, _limit(request))
        push = NewPush(caller.name, worker, version, samples, data)
        return await parameters.push(run, push)


def _version(etag: str | None) -> int | None:
    """Return the version that an ETag names; None if it is none of ours."""
    found = _VERSION.fullmatch((etag or "").strip())
    return None if found is None else int(found[1])


def _limit(request: Request) -> int:
    """Return how many bytes tensors may have.

    Raises:
        UnsupportedMediaType: the body is declared as something else.
    """
    if content_type_of(request).name != OCTETS:
        message = f"Send tensors as {OCTETS}."
        raise UnsupportedMediaType(message)
    return settings_of(request).training.max_parameter_bytes
