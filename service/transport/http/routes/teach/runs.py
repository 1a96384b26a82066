"""``/v1/datasets/{name}/runs``: teach a model from a dataset; needs the scope ``teach``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path, Request, Response

from auth.principal import Scope
from schemas.errors import InsufficientScope, NotFound, NotReady, ServiceError
from schemas.teach.run import Run, RunId, RunList, RunOptions
from service.teach.runs.records import StoredRun, shown_run, shown_summary
from service.transport.app_state import state_of
from service.transport.dependencies import (
    DatasetsDep,
    PrincipalDep,
    RunsDep,
    principal_of,
    require_model,
    runtime_of,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.body.uploads import HttpState
from service.transport.http.middleware.negotiation import (
    HEAD_KEY,
    never_stored,
    prefers,
    require_json,
)
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.event_stream import (
    COMMENT_SECONDS,
    EVENT_STREAM,
    RETRY_MS,
    EventStreamResponse,
    content,
    is_valid,
    require_events,
)
from service.transport.http.routes.teach.datasets import BODY, NAMED, PREFIX, TEACH, Name

PICTURE_SIDE = 160
router = APIRouter(
    prefix=f"{PREFIX}/{{name}}/runs",
    tags=["teach"],
    dependencies=[TEACH, Depends(require_json), Depends(never_stored)],
    responses=problems(401, 403, 404, 406, 429, 500, 503),
)
single = APIRouter(
    prefix=f"{PREFIX}/{{name}}/runs",
    tags=["teach"],
    dependencies=[TEACH, Depends(require_events)],
    responses=problems(401, 403, 404, 406, 422, 429, 500, 503),
)
reports = APIRouter(
    prefix=f"{PREFIX}/{{name}}/runs",
    tags=["teach"],
    dependencies=[TEACH],
    responses=problems(401, 403, 404, 422, 429, 500, 503),
)
BODIES = (RunOptions,)
"""Request bodies of the routes, which read them themselves."""
Id = Annotated[RunId, Path()]


@router.get("", responses=NAMED)
async def list_runs(name: Name, runs: RunsDep, caller: PrincipalDep) -> RunList:
    """List the last runs of a dataset whose models the caller may use, the newest first."""
    found = await runs.administration.of_dataset(name)
    return RunList(runs=[shown_summary(one) for one in found if caller.may_use(one.options.model)])


@router.post("", status_code=202, responses=problems(409) | BODY, openapi_extra=takes(RunOptions))
async def begin_run(
    name: Name,
    body: Annotated[RunOptions, Depends(JsonBody(RunOptions))],
    request: Request,
    response: Response,
    runs: RunsDep,
    caller: PrincipalDep,
) -> Run:
    """Teach a model from the labelled photos of a dataset, in the background.

    The new version is a candidate: servers load it, callers may name it with
    `version=candidate`, and the default version stays, unless the model is new or `promote` asks
    for it. One run of a dataset at a time.
    """
    require_model(request, body.model)
    if body.promote and Scope.MODELS_WRITE not in caller.scopes:
        raise InsufficientScope(Scope.MODELS_WRITE)
    await runs.administration.dataset(name)
    base = await runs.administration.find_base(body)
    require_model(request, base.name)
    run = await runs.administration.begin(name, body, base, by=caller.name)
    response.headers["location"] = f"{PREFIX}/{name}/runs/{run.id}"
    return shown_run(run)


@single.get(
    "/{id}",
    response_model=Run,
    responses=content('event: run\ndata: {"id":"...","state":"extracting"}\n\n'),
)
async def get_run(name: Name, id: Id, request: Request) -> Response:  # noqa: A002 - the parameter's name
    """Return a run: its state, its progress, and, once there is one, its verdict.

    With `Accept: text/event-stream` it is sent without its verdict whenever it changes, until it
    is finished.
    """
    run = await _visible(request, name, id)
    headers = {"cache-control": "no-store"}
    if not prefers(request, EVENT_STREAM):
        body = shown_run(run).model_dump_json()
        return Response(body, headers=headers, media_type="application/json")
    if HEAD_KEY in request.scope:
        return Response(headers=headers, media_type=EVENT_STREAM)
    streams = cast("HttpState", state_of(request)).event_streams
    return EventStreamResponse(_changes(request, run), streams, principal_of(request).name)


@router.delete("/{id}", status_code=202, responses=problems(409, 422))
async def cancel_run(
    name: Name,
    id: Id,  # noqa: A002 - the parameter's name
    request: Request,
    runs: RunsDep,
    caller: PrincipalDep,
) -> Run:
    """Cancel a run; features that it has computed stay for the next one."""
    await _visible(request, name, id)
    return shown_run(await runs.administration.cancel(name, id, by=caller.name))


@reports.get(
    "/{id}/report",
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def get_run_report(
    name: Name,
    id: Id,  # noqa: A002 - the parameter's name
    request: Request,
    datasets: DatasetsDep,
) -> Response:
    """Return the verdict as a page with pictures: one file, without scripts."""
    run = await _visible(request, name, id)
    if run.verdict is None:
        raise NotFound("This run has no verdict.")
    from service.teach.runs.report.of_run import report_of
    from service.teach.runs.report.page import REPORT_POLICY, report_html, wanted_pictures

    report = report_of(run)
    pictures: dict[str, bytes] = {}
    for photo in wanted_pictures(report.verdict):
        with suppress(ServiceError):  # removed since, or not readable
            pictures[photo], _ = await datasets.directory.image(name, photo, PICTURE_SIDE)
    headers = {"cache-control": "no-store", "content-security-policy": REPORT_POLICY}
    page = report_html(report_of(run, pictures))
    return Response(page, headers=headers, media_type="text/html; charset=utf-8")


async def _visible(request: Request, dataset: str, run_id: str) -> StoredRun:
    """Return a run whose model the caller may use.

    Raises:
        NotFound: there is none.
    """
    runs = await runtime_of(request).teach.runs()
    run = await runs.administration.get(dataset, run_id)
    if not principal_of(request).may_use(run.options.model):
        raise NotFound("There is no run with this id in the dataset.")
    return run


async def _changes(request: Request, run: StoredRun) -> AsyncIterator[str]:
    """Yield the run whenever it changed, until it is finished, the token ends, or the drain."""
    runs = await runtime_of(request).teach.runs()
    draining = runtime_of(request).shutdown.draining
    yield f"retry: {RETRY_MS}\n\n"
    said, silent = "", 0.0
    while True:
        text = shown_summary(run).model_dump_json()
        if text != said:
            said, silent = text, 0.0
            yield f"event: run\ndata: {text}\n\n"
        if run.progress.is_finished or draining.is_set() or not await is_valid(request):
            return
        waited = await runs.watch.wait()
        silent += waited
        if silent >= COMMENT_SECONDS:
            silent = 0.0
            yield ":\n\n"
        try:
            run = await runs.administration.get(run.dataset, run.id)
        except NotFound:
            return
        except NotReady:  # the store may answer again
            continue
