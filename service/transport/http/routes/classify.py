"""``POST /v1/classify`` and ``POST /v1/classify/batch``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Protocol, cast

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.classify import (
    BatchResponse,
    ClassifyOptions,
    ClassifyResponse,
    ManyModelsOptions,
)
from schemas.errors import ServiceError
from service.core.imaging.answer import Timing
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.serving.ticket import Ticket
from service.transport.admission import admit
from service.transport.app_state import state_of
from service.transport.dependencies import (
    issue_ticket,
    metrics_of,
    principal_of,
    requires,
    runtime_of,
)
from service.transport.http.body.multipart import Part
from service.transport.http.body.uploads import HttpState, uploads_of
from service.transport.http.middleware.errors import STATUS
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import BINARY, problems
from service.transport.http.routes.classification_json import classification_json

IMAGE_BODY = {
    "required": True,
    "description": "One JPEG, PNG, WebP, GIF, BMP or TIFF image, in one of three forms.",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "title": "ImageForm",
                "additionalProperties": False,
                "properties": {
                    "file": {**BINARY, "description": "The image."},
                    "image": {
                        **BINARY,
                        "description": "Another name for it: send one of the two.",
                    },
                },
            }
        },
        "image/*": {"schema": BINARY},
        "application/octet-stream": {"schema": BINARY},
        "application/json": {"schema": {"$ref": "#/components/schemas/EncodedImage"}},
    },
}
_BATCH_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "title": "BatchForm",
                "additionalProperties": False,
                "properties": {"files": {"type": "array", "items": BINARY, "minItems": 1}},
                "required": ["files"],
            }
        }
    },
}
IMAGE_PROBLEMS = (400, 401, 403, 404, 406, 408, 409, 413, 415, 422, 429, 500, 503, 504)
PROTOCOL = "http"
KEEP_HEADER = "potoo-keep"
"""Of a request, `no`: the photo must not be kept. Of a response, `may`: it may have been."""
# A batch takes part of the queue at a time, so that other callers get their turn.
BATCH_CONCURRENCY = 8
_PRIORITIES = {priority.value: priority for priority in Priority}


class Scheduled(Protocol):
    """Options of a call that say when it is answered."""

    @property
    def timeout_ms(self) -> int | None:
        """Milliseconds from the complete upload; None for the default."""

    @property
    def priority(self) -> str:
        """Name of the priority."""


async def classify(request: Request, options: Annotated[ManyModelsOptions, Query()]) -> Response:
    """Classify an image.

    Send one image as raw bytes (`image/*`), as the multipart field `file`, or as JSON with base64.
    With `also`, further models answer too; if one of them cannot, none does.
    """
    state = cast("HttpState", state_of(request))
    runtime, uploads = state.runtime, state.uploads
    ticket = admit(
        runtime, principal_of(request), options.model, options.version, call_of(request, options)
    )
    if options.also:
        return await _classify_each(request, options, ticket)
    with uploads.hold as hold:
        image = await uploads.image(request, hold)
        ref, answer = await runtime.classifier.classify(image, ticket, top_k=options.top_k)
    return JsonResponse(
        {
            "model": {"name": ref.name, "version": ref.version},
            **classification_json(answer),
            "request_id": request.scope["state"]["request_id"],
        },
        (b"server-timing", _server_timing(answer.timing)),
        *_kept(request, ticket),
    )


async def _classify_each(request: Request, options: ManyModelsOptions, ticket: Ticket) -> Response:
    """Classify an image by the model of the ticket, and by further ones."""
    runtime, uploads = runtime_of(request), uploads_of(request)
    principal, call = principal_of(request), ticket.call
    further = [admit(runtime, principal, name, None, call) for name in options.further]
    with uploads.hold as hold:
        image = await uploads.image(request, hold)
        answers = await runtime.classifier.classify_each(
            image, [ticket, *further], top_k=options.top_k
        )
    (ref, first), *others = answers
    return JsonResponse(
        {
            "model": {"name": ref.name, "version": ref.version},
            **classification_json(first),
            "also": [
                {
                    **classification_json(answer),
                    "model": {"name": other.name, "version": other.version},
                }
                for other, answer in others
            ],
            "request_id": request.scope["state"]["request_id"],
        },
        (b"server-timing", _server_timing(first.timing)),
        *_kept(request, ticket),
    )


async def classify_batch(
    request: Request, options: Annotated[ClassifyOptions, Query()]
) -> Response:
    """Classify many images.

    Every file gets its own result or problem, in upload order: a bad file does not affect the
    others. The time limit applies to the whole batch.
    """
    uploads, classifier = uploads_of(request), runtime_of(request).classifier
    ticket = issue_ticket(request, options.model, options.version, call_of(request, options))
    # Use one version for all files, even if another one is promoted meanwhile.
    with uploads.hold as hold, classifier.lease(ticket) as leased:
        parts = await uploads.images(request, hold)
        turn = asyncio.Semaphore(BATCH_CONCURRENCY)
        # Without a time-out of the caller's, each file has the default one from its turn on.
        deadline = leased.deadline() if options.timeout_ms else None
        results = await asyncio.gather(
            *(_item(request, options.top_k, leased, part, turn, deadline) for part in parts)
        )
    return JsonResponse(
        {
            "model": leased.model.ref,
            "results": results,
            "request_id": request.scope["state"]["request_id"],
        },
        *_kept(request, ticket),
    )


async def _item(
    request: Request,
    top_k: int,
    ticket: Ticket,
    part: Part,
    turn: asyncio.Semaphore,
    deadline: float | None,
) -> dict[str, object]:
    """Classify one file of a batch; errors become its ``problem``."""
    async with turn:
        try:
            _, answer = await runtime_of(request).classifier.classify(
                part.content, ticket, top_k=top_k, deadline=deadline
            )
        except ServiceError as error:
            metrics_of(request).errors.labels(error.code).inc()
            problem = {
                "status": STATUS[error.code],
                "code": error.code,
                "detail": error.detail,
            }
            return {"file_name": part.file_name, "problem": problem}
    return {"file_name": part.file_name, "result": classification_json(answer)}


def add_classify_routes(app: FastAPI) -> None:
    """Register both routes on the application."""
    routes: tuple[tuple[str, Any, Any, Any], ...] = (
        ("/v1/classify", classify, ClassifyResponse, IMAGE_BODY),
        ("/v1/classify/batch", classify_batch, BatchResponse, _BATCH_BODY),
    )
    for path, endpoint, answer, body in routes:
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            tags=["classify"],
            dependencies=[requires(Scope.CLASSIFY)],
            response_model=answer,
            responses=problems(*IMAGE_PROBLEMS),
            openapi_extra={"requestBody": body},
            route_class_override=LeanRoute,
        )


def call_of(request: Request, options: Scheduled) -> CallContext:
    """Return the context of a call of the authenticated caller, as its options schedule it."""
    timeout = None if options.timeout_ms is None else options.timeout_ms / 1000
    priority = _PRIORITIES[options.priority]
    principal = principal_of(request)
    call = CallContext(principal.name, principal.weight, PROTOCOL, priority, timeout)
    if runtime_of(request).keeper is not None:
        call.may_keep = request.headers.get(KEEP_HEADER, "").strip().lower() != "no"
    return call


def _kept(request: Request, ticket: Ticket) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header that tells a caller that the server may keep the photo."""
    keeper = runtime_of(request).keeper
    if keeper is None or not ticket.call.may_keep or not keeper.may_keep(ticket.call.owner):
        return ()
    return ((KEEP_HEADER.encode(), b"may"),)


class JsonResponse(Response):
    """A successful answer that no cache may store; its headers are built once."""

    _HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))

    def __init__(self, body: dict[str, object], *headers: tuple[bytes, bytes]) -> None:
        """``headers`` are added to the usual ones."""
        self.status_code, self.background = 200, None
        self.body = orjson.dumps(body)
        length = b"%d" % len(self.body)
        self.raw_headers = [*self._HEADERS, *headers, (b"content-length", length)]


def _server_timing(timing: Timing) -> bytes:
    """Format the timing as a Server-Timing header (W3C Server Timing)."""
    return (
        f"decode;dur={timing.decode_ms}, queue;dur={timing.queue_ms}, "
        f"inference;dur={timing.inference_ms}, total;dur={timing.total_ms}"
    ).encode()
