"""``/v1/datasets/{name}/photos``: photos and their labels; needs the scope ``teach``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from schemas.teach.dataset import (
    NewPhotoOptions,
    Photo,
    PhotoChange,
    PhotoId,
    PhotoList,
    PhotoQuery,
)
from service.transport.dependencies import DatasetsDep, PrincipalDep
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import BINARY, problems
from service.transport.http.routes.classify import IMAGE_BODY
from service.transport.http.routes.teach.datasets import BODY, NAMED, PREFIX, TEACH, Name

router = APIRouter(
    prefix=f"{PREFIX}/{{name}}/photos",
    tags=["teach"],
    dependencies=[TEACH, Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 404, 406, 429, 500, 503),
)
images = APIRouter(
    prefix=f"{PREFIX}/{{name}}/photos",
    tags=["teach"],
    dependencies=[TEACH],
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
BODIES = (PhotoChange,)
"""Request bodies of the routes, which read them themselves."""
Id = Annotated[PhotoId, Path()]
_IMAGE: dict[int | str, dict[str, Any]] = {200: {"content": {"image/*": {"schema": BINARY}}}}
_ADDED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The dataset has this photo already.", "model": Photo}
}


@router.get("", responses=problems(409, 422))
async def list_photos(
    name: Name, query: Annotated[PhotoQuery, Query()], datasets: DatasetsDep
) -> PhotoList:
    """List photos, a page at a time: the newest first, or as the last run orders them."""
    await datasets.administration.get(name)
    return await datasets.directory.page(name, query)


@router.post(
    "",
    status_code=201,
    responses=_ADDED | problems(400, 409) | BODY,
    openapi_extra={"requestBody": IMAGE_BODY},
)
async def add_photo(
    name: Name,
    options: Annotated[NewPhotoOptions, Query()],
    request: Request,
    response: Response,
    datasets: DatasetsDep,
    caller: PrincipalDep,
) -> Photo:
    """Add a photo, with or without a label; send it as to `/v1/classify`.

    A photo that is there already gets the label if it has none. A wrong answer becomes a photo
    with `source=answer`, the right `label`, and the `model`, `version`, `answer` and `score` of it.
    """
    await datasets.administration.get(name)
    uploads = uploads_of(request)
    with uploads.hold as hold:
        image = await uploads.image(request, hold)
        photo, is_new = await datasets.photo_administration.add(
            name, image, options, by=caller.name
        )
    response.status_code = 201 if is_new else 200
    return photo


@router.get("/{id}", responses=NAMED)
async def get_photo(name: Name, id: Id, datasets: DatasetsDep) -> Photo:  # noqa: A002 - the parameter's name
    """Return a photo: its label, who gave it and when, its source, time and group."""
    return await datasets.directory.get(name, id)


@router.patch("/{id}", responses=NAMED | BODY, openapi_extra=takes(PhotoChange))
async def change_photo(
    name: Name,
    id: Id,  # noqa: A002 - the parameter's name
    body: Annotated[PhotoChange, Depends(JsonBody(PhotoChange))],
    datasets: DatasetsDep,
    caller: PrincipalDep,
) -> Photo:
    """Label a photo, remove its label, or change its group."""
    return await datasets.photo_administration.change(name, id, body, by=caller.name)


@router.delete("/{id}", status_code=204, responses=NAMED)
async def remove_photo(
    name: Name,
    id: Id,  # noqa: A002 - the parameter's name
    datasets: DatasetsDep,
    caller: PrincipalDep,
) -> None:
    """Remove a photo, its file, and what was computed from it."""
    await datasets.photo_administration.remove(name, id, by=caller.name)


@images.get("/{id}/image", response_class=Response, responses=_IMAGE)
async def get_photo_image(
    name: Name,
    id: Id,  # noqa: A002 - the parameter's name
    datasets: DatasetsDep,
    side: Annotated[
        int | None,
        Query(
            ge=16,
            le=2048,
            description="Longest side in pixels: a small JPEG. If absent: the file as it was sent.",
        ),
    ] = None,
) -> Response:
    """Return the image of a photo."""
    image, media_type = await datasets.directory.image(name, id, side)
    return Response(image, headers={"cache-control": "no-store"}, media_type=media_type)
