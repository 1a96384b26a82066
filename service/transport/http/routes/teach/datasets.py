"""``/v1/datasets``: named sets of labelled photos; needs the scope ``teach``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from auth.principal import Scope
from schemas.errors import UnsupportedMediaType
from schemas.teach.dataset import (
    Dataset,
    DatasetChange,
    DatasetList,
    DatasetName,
    ExportFormat,
    ImportReport,
    NewDataset,
)
from service.transport.dependencies import (
    DatasetsDep,
    PrincipalDep,
    RuntimeDep,
    requires,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.body.spooled import Spool, spooled
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import BINARY, problems

PREFIX = "/v1/datasets"
TEACH = requires(Scope.TEACH)
router = APIRouter(
    prefix=PREFIX,
    tags=["teach"],
    dependencies=[TEACH, Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
exports = APIRouter(
    prefix=PREFIX,
    tags=["teach"],
    dependencies=[TEACH],
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
BODIES = (NewDataset, DatasetChange)
"""Request bodies of the routes, which read them themselves."""
Name = Annotated[DatasetName, Path()]
BODY = problems(408, 413, 415, 422)
NAMED = problems(404, 422)
ZIP_TYPES = {"application/zip", "application/x-zip-compressed"}
_ARCHIVE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A zip file; or the tasks of Label Studio for photos that are there.",
        "content": {
            "application/zip": {"schema": BINARY},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        },
    }
}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/zip": {"schema": BINARY},
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        }
    }
}


@router.get("")
async def list_datasets(datasets: DatasetsDep) -> DatasetList:
    """List the datasets, by name."""
    return DatasetList(datasets=await datasets.administration.all())


@router.post("", status_code=201, responses=problems(409) | BODY, openapi_extra=takes(NewDataset))
async def add_dataset(
    body: Annotated[NewDataset, Depends(JsonBody(NewDataset))],
    datasets: DatasetsDep,
    caller: PrincipalDep,
) -> Dataset:
    """Add an empty dataset.

    Classes can be added later, and an import adds those that it finds.
    """
    return await datasets.administration.add(body, by=caller.name)


@router.get("/{name}", responses=NAMED)
async def get_dataset(name: Name, datasets: DatasetsDep) -> Dataset:
    """Return a dataset: its classes with the number of their photos, its size, its quotas."""
    return await datasets.administration.show(name)


@router.patch("/{name}", responses=problems(404, 409) | BODY, openapi_extra=takes(DatasetChange))
async def change_dataset(
    name: Name,
    body: Annotated[DatasetChange, Depends(JsonBody(DatasetChange))],
    datasets: DatasetsDep,
    caller: PrincipalDep,
) -> Dataset:
    """Change classes or quotas of a dataset; rename or merge classes."""
    return await datasets.administration.change(name, body, by=caller.name)


@router.delete("/{name}", status_code=204, responses=NAMED)
async def remove_dataset(name: Name, datasets: DatasetsDep, caller: PrincipalDep) -> None:
    """Remove a dataset, its photos, and what was computed from them; models stay."""
    await datasets.administration.remove(name, by=caller.name)


@router.post("/{name}/import", responses=problems(400, 404, 409) | BODY, openapi_extra=_ARCHIVE)
async def import_photos(
    name: Name,
    request: Request,
    runtime: RuntimeDep,
    datasets: DatasetsDep,
    caller: PrincipalDep,
    labels: Annotated[
        Literal["keep", "replace"],
        Query(description="Labels of photos that are there: keep them, or replace them."),
    ] = "keep",
) -> ImportReport:
    """Import photos and labels; bad files are reported, and the others imported.

    The zip file has a folder for each class; or a `labels.csv` with the columns `path` and `label`
    (also `group` and `captured`); or tasks of Label Studio as JSON. Classes that the dataset does
    not have are added. The same photo twice is one photo; a second label is reported.
    """
    await datasets.administration.get(name)
    kind, uploads = content_type_of(request).name, uploads_of(request)
    archives, replaces_labels = datasets.archives, labels == "replace"
    if kind == "application/json":
        with uploads.hold as hold:
            body = await uploads.reader.read(request, hold, uploads.limits.max_body_bytes)
            return await archives.tasks(name, body, by=caller.name, replaces_labels=replaces_labels)
    if kind not in ZIP_TYPES:
        message = "Send a zip file as application/zip, or tasks of Label Studio as JSON."
        raise UnsupportedMediaType(message)
    limits = Spool(archives.folder, archives.limits.bytes, archives.keep_free_bytes)
    with archives.turn():
        async with spooled(request, uploads.reader, runtime.pool, limits) as file:
            return await archives.archive(
                name, file, by=caller.name, replaces_labels=replaces_labels
            )


@exports.get("/{name}/export", response_class=Response, responses=_FILES)
async def export_dataset(
    name: Name,
    datasets: DatasetsDep,
    caller: PrincipalDep,
    format_: Annotated[
        ExportFormat,
        Query(
            alias="format",
            description="`folders`: a zip file with a folder for each class and `labels.csv`; "
            "`csv`; `label-studio`: tasks as JSON.",
        ),
    ] = ExportFormat.FOLDERS,
) -> Response:
    """Export a dataset. An import of the zip file gives the same dataset."""
    pieces = await datasets.exporter.open(name, format_, by=caller.name)
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="{name}{format_.suffix}"',
    }
    return StreamingResponse(pieces, headers=headers, media_type=format_.media_type)
