"""``/v1/scalers``: partial sums of rows; with ``models:write``, new versions of scalers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import ValidationError

from auth.principal import Scope
from schemas.classify import MODEL_NAME_PATTERN
from schemas.errors import InvalidParameter, UnsupportedMediaType
from schemas.preprocess.numeric import (
    Header,
    NewScaler,
    ScalerInfo,
    ScalerList,
    Separator,
    Sums,
)
from service.core.repository.repository import Repository
from service.preprocess.numeric.csv_rows import CsvOptions
from service.preprocess.numeric.reading import read_rows
from service.preprocess.numeric.rows import Rows
from service.preprocess.scalers.catalogue import ScalerCatalogue
from service.preprocess.scalers.fitting import FittedScaler, fit
from service.preprocess.scalers.publishing import write_scaler
from service.preprocess.scalers.sums import merged, sums_of
from service.preprocess.scalers.wire import from_wire, to_wire
from service.transport.dependencies import (
    ModelsDep,
    PrincipalDep,
    RuntimeDep,
    require_model,
    requires,
    runtime_of,
    settings_of,
)
from service.transport.http.body.compressed_body import json_cost, read_packed
from service.transport.http.body.json_body import takes
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.errors import violations_of
from service.transport.http.middleware.media_type import content_type_of
from service.transport.http.middleware.negotiation import never_stored, require_json
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.preprocess.numeric import ROWS_BODY, read_body

_PREFIX = "/v1/scalers"
readers = APIRouter(
    prefix=_PREFIX,
    tags=["preprocess"],
    dependencies=[requires(Scope.PREPROCESS), Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 406, 429, 500, 503),
)
writers = APIRouter(
    prefix=_PREFIX,
    tags=["preprocess"],
    dependencies=[requires(Scope.MODELS_WRITE), Depends(require_json), Depends(never_stored)],
    responses=problems(400, 401, 403, 406, 408, 409, 413, 415, 422, 429, 500, 503),
)
BODIES = (NewScaler,)
_Name = Annotated[str, Path(pattern=MODEL_NAME_PATTERN)]
_Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="If absent: the one that is to answer.")
]


@readers.get("")
async def list_scalers(request: Request, runtime: RuntimeDep, caller: PrincipalDep) -> ScalerList:
    """List the published scalers that the caller may use."""
    found = await runtime.pool.run(_catalogue(request).list)
    return ScalerList(scalers=[one for one in found if caller.may_use(one.name)])


@readers.get("/{name}", responses=problems(404, 422))
async def get_scaler(
    name: _Name, request: Request, runtime: RuntimeDep, version: _Version = None
) -> ScalerInfo:
    """Describe a scaler: its columns, what it was fitted to, its versions."""
    require_model(request, name)
    return await runtime.pool.run(lambda: _catalogue(request).get(name, version))


@readers.post(
    "/sums",
    response_model=Sums,
    responses=problems(400, 408, 413, 415, 422),
    openapi_extra={"requestBody": ROWS_BODY},
)
async def sum_rows(
    request: Request,
    *,
    separator: Annotated[Separator, Query(description="Between the cells of CSV.")] = "comma",
    header: Annotated[
        Header, Query(description="Whether the first row of CSV names the columns.")
    ] = "auto",
    distinct: Annotated[
        bool, Query(description="Keep distinct numbers: medians and quartiles need them.")
    ] = True,
) -> Response:
    """Return the partial statistics of rows; nothing is kept.

    Those of all parts of the data, from any number of workers and in any order, are what
    `POST /v1/scalers/{name}` fits a scaler to.
    """
    numbers = runtime_of(request).preprocessing.numbers
    most = settings_of(request).preprocess.max_distinct if distinct else 0
    csv = CsvOptions(separator, header)
    with uploads_of(request).hold as hold:
        body, form = await read_body(request, hold, csv)
        work = partial(_sums, partial(read_rows, body, form, csv, numbers.limits), most)
        answer = await numbers.offload(len(body), work)
    return Response(answer, headers={"cache-control": "no-store"}, media_type="application/json")


@writers.post("/{name}", status_code=201, openapi_extra=takes(NewScaler))
async def fit_scaler(
    name: _Name, request: Request, runtime: RuntimeDep, models: ModelsDep, caller: PrincipalDep
) -> ScalerInfo:
    """Fit a scaler to partial sums, and publish it as a new version.

    It must pass the checks of every model. Promote, roll back and remove its versions as those of
    every model. It is refused if there is a model of that name that is no scaler.
    """
    require_model(request, name)
    repository, most = _repository(request), settings_of(request).preprocess.max_distinct
    with uploads_of(request).hold as hold:
        if content_type_of(request).name != "application/json":
            message = "Send the sums as application/json."
            raise UnsupportedMediaType(message)
        body = await read_packed(request, hold, uploads_of(request).limits.max_body_bytes)
        hold.reserve(len(body) + json_cost(body, len(body)))
        new, scaler = await runtime.pool.run(lambda: _fitted(bytes(body), most))
    version = await models.add(
        name,
        lambda draft: write_scaler(draft, repository, scaler, new.description),
        by=caller.name,
    )
    return await runtime.pool.run(lambda: _catalogue(request).get(name, version))


def _sums(read: Callable[[], Rows], max_distinct: int) -> bytes:
    return orjson.dumps(to_wire(sums_of(read(), max_distinct)).model_dump())


def _fitted(body: bytes, max_distinct: int) -> tuple[NewScaler, FittedScaler]:
    try:
        new = NewScaler.model_validate_json(without_mark(body))
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, "/body")) from None
    sums = merged(map(from_wire, new.sums), max_distinct)
    return new, fit(sums, new.kind, new.impute)


def _repository(request: Request) -> Repository:
    return Repository(settings_of(request).models)


def _catalogue(request: Request) -> ScalerCatalogue:
    return ScalerCatalogue(_repository(request))
