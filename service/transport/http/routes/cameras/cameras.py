"""``/v1/cameras``: cameras that the server watches; needs the scope ``cameras``."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from auth.principal import Principal, Scope
from schemas.cameras import (
    Camera,
    CameraList,
    CameraName,
    CameraSpec,
    NewCamera,
)
from schemas.errors import ModelForbidden, NotFound
from service.runtime.runtime import Runtime
from service.transport.dependencies import (
    CamerasDep,
    PrincipalDep,
    RuntimeDep,
    principal_of,
    require_model,
    requires,
    runtime_of,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import problems

PREFIX = "/v1/cameras"
_POLICY = requires(Scope.CAMERAS)
router = APIRouter(
    prefix=PREFIX,
    tags=["cameras"],
    dependencies=[_POLICY, Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
pictures = APIRouter(
    tags=["cameras"],
    dependencies=[_POLICY],
    responses=problems(401, 403, 422, 429, 500, 503),
)
BODIES = (NewCamera, CameraSpec)
"""Request bodies of the routes, which read them themselves."""
Name = Annotated[CameraName, Path()]
_BODY = problems(408, 413, 415, 422)
_NAMED = problems(404, 422)
_JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get("")
async def list_cameras(
    cameras: CamerasDep, runtime: RuntimeDep, caller: PrincipalDep
) -> CameraList:
    """List the cameras whose model the caller may use."""
    found = await cameras.directory.list()
    return CameraList(cameras=[one for one in found if may_see(caller, runtime, one.spec)])


@router.post(
    "",
    status_code=201,
    responses=problems(404, 409) | _BODY,
    openapi_extra=takes(NewCamera),
)
async def add_camera(
    body: Annotated[NewCamera, Depends(JsonBody(NewCamera))],
    request: Request,
    cameras: CamerasDep,
    caller: PrincipalDep,
) -> Camera:
    """Add a camera; the server begins to watch it at once.

    The model must be one that the caller may use. A host that is not known yet is accepted: the
    camera may be off.
    """
    _require_spec(request, body)
    added = await cameras.administration.add(body, by=caller.name)
    return await visible_camera(request, added.name)


@router.get("/{name}", responses=_NAMED)
async def get_camera(name: Name, request: Request) -> Camera:
    """Return a camera: its configuration, its state, the last answer, and why it fails."""
    return await visible_camera(request, name)


@router.put("/{name}", responses=problems(404, 409) | _BODY, openapi_extra=takes(CameraSpec))
async def change_camera(
    name: Name,
    body: Annotated[CameraSpec, Depends(JsonBody(CameraSpec))],
    request: Request,
    cameras: CamerasDep,
    caller: PrincipalDep,
) -> Camera:
    """Replace the configuration of a camera.

    Without a user and a password, the stored ones stay while scheme, host and port do.
    """
    await visible_camera(request, name)
    _require_spec(request, body)
    await cameras.administration.change(name, body, by=caller.name)
    return await visible_camera(request, name)


@router.delete("/{name}", status_code=204, responses=_NAMED)
async def remove_camera(
    name: Name, request: Request, cameras: CamerasDep, caller: PrincipalDep
) -> None:
    """Remove a camera and its events."""
    await visible_camera(request, name)
    await cameras.administration.remove(name, by=caller.name)


@router.post("/{name}/pause", responses=_NAMED)
async def pause_camera(
    name: Name, request: Request, cameras: CamerasDep, caller: PrincipalDep
) -> Camera:
    """Stop watching a camera; its state stays."""
    await visible_camera(request, name)
    await cameras.administration.pause(name, is_paused=True, by=caller.name)
    return await visible_camera(request, name)


@router.post("/{name}/resume", responses=_NAMED)
async def resume_camera(
    name: Name, request: Request, cameras: CamerasDep, caller: PrincipalDep
) -> Camera:
    """Watch a paused camera again."""
    await visible_camera(request, name)
    await cameras.administration.pause(name, is_paused=False, by=caller.name)
    return await visible_camera(request, name)


@pictures.get(f"{PREFIX}/{{name}}/frame", response_class=Response, responses=problems(404) | _JPEG)
async def get_camera_frame(name: Name, request: Request, cameras: CamerasDep) -> Response:
    """Return the last frame, as a JPEG of at most 640 pixels a side; 404 before the first."""
    camera = await visible_camera(request, name)
    found = await cameras.directory.frame(camera)
    if found is None:
        raise NotFound("There is no frame of this camera yet.")
    headers = {
        "cache-control": "no-store",
        "last-modified": format_datetime(found.at, usegmt=True),
    }
    return Response(found.image, headers=headers, media_type="image/jpeg")


@pictures.post(
    "/v1/camera-preview",
    response_class=Response,
    responses=problems(404) | _BODY | _JPEG,
    openapi_extra=takes(CameraSpec),
)
async def preview_camera(
    body: Annotated[CameraSpec, Depends(JsonBody(CameraSpec))],
    request: Request,
    cameras: CamerasDep,
    camera: Annotated[
        CameraName | None,
        Query(description="Use the stored credentials of this camera, if the host is its."),
    ] = None,
) -> Response:
    """Fetch one frame now, the whole picture: to try a configuration before it is stored."""
    stored = None
    if camera is not None:
        await visible_camera(request, camera)
        stored = await cameras.administration.get(camera)
    image = await cameras.fetcher.fetch(body, stored)
    small = await cameras.classifier.preview("preview", image)
    return Response(small, headers={"cache-control": "no-store"}, media_type="image/jpeg")


def may_see(caller: Principal, runtime: Runtime, spec: CameraSpec) -> bool:
    """Return whether the caller may use the model of a camera."""
    if caller.models is None:
        return True
    default = runtime.classifier.default
    name = spec.model or (default.name if default else None)
    return name is not None and caller.may_use(name)


async def visible_camera(request: Request, name: str) -> Camera:
    """Return a camera that the caller may see.

    Raises:
        NotFound: there is none, or its model is not one that the caller may use.
    """
    runtime = runtime_of(request)
    camera = await runtime.cameras.directory.get(name)
    if camera is None or not may_see(principal_of(request), runtime, camera.spec):
        raise NotFound("There is no camera with this name.")
    return camera


def _require_spec(request: Request, spec: CameraSpec) -> None:
    """Check that the model is there and that the caller may use it.

    Raises:
        ModelNotFound, ModelForbidden: it is not.
    """
    runtime = runtime_of(request)
    if spec.model is not None:
        require_model(request, spec.model)
        runtime.classifier.versions(spec.model)
    elif not may_see(principal_of(request), runtime, spec):
        raise ModelForbidden
