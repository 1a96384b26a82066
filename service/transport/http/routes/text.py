"""``POST /v1/classify-text`` and ``POST /v1/embed``: models that take text."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.classify import ClassifyOptions
from schemas.errors import ServiceError
from schemas.preprocess.text import TextBody
from schemas.text_answers import (
    ClassifyTextResponse,
    ClassifyTextsResponse,
    EmbedOptions,
    EmbedResponse,
)
from service.core.serving.ticket import Ticket
from service.transport.dependencies import admit, metrics_of, requires, runtime_of
from service.transport.http.body.json_body import takes
from service.transport.http.body.text_body import read_texts
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.errors import STATUS
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.classification_json import text_json
from service.transport.http.routes.classify import IMAGE_PROBLEMS, JsonResponse, call_of

BODIES = (TextBody,)
# Several texts take part of the queue at a time, so that other callers get their turn.
TEXTS_AT_A_TIME = 32


async def classify_text(request: Request, options: Annotated[ClassifyOptions, Query()]) -> Response:
    """Classify a text, or several.

    Send `{"text": "..."}`, or `{"texts": [...]}`: then every text gets its own result or problem,
    in the order of the request, and a bad one does not affect the others.
    """
    runtime = runtime_of(request)
    ticket = admit(request, options.model, options.version, call_of(request, options))
    request_id = request.scope["state"]["request_id"]
    with uploads_of(request).hold as hold, runtime.classifier.lease(ticket) as leased:
        body = await read_texts(request, hold, runtime.preprocessing.settings.max_texts)
        ref = leased.model.ref
        model = {"name": ref.name, "version": ref.version}
        if body.text is not None:
            _, answer = await runtime.classifier.classify_text(
                body.text, leased, top_k=options.top_k
            )
            return JsonResponse({"model": model, **text_json(answer), "request_id": request_id})
        turn, deadline = asyncio.Semaphore(TEXTS_AT_A_TIME), leased.deadline()
        results = await asyncio.gather(
            *(_item(request, text, leased, options.top_k, turn, deadline) for text in body.all)
        )
    return JsonResponse({"model": model, "results": results, "request_id": request_id})


async def embed(request: Request, options: Annotated[EmbedOptions, Query()]) -> Response:
    """Turn texts into vectors, by a model whose output has no labels.

    Send `{"text": "..."}` or `{"texts": [...]}`; all succeed, or none.
    """
    runtime = runtime_of(request)
    ticket = admit(request, options.model, options.version, call_of(request, options))
    with uploads_of(request).hold as hold:
        body = await read_texts(request, hold, runtime.preprocessing.settings.max_texts)
        ref, vectors_ND = await runtime.classifier.embed(body.all, ticket)
    answer = orjson.dumps(
        {
            "model": {"name": ref.name, "version": ref.version},
            "dimension": vectors_ND.shape[1],
            "vectors": vectors_ND,
            "request_id": request.scope["state"]["request_id"],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return Response(answer, headers={"cache-control": "no-store"}, media_type="application/json")


async def _item(
    request: Request,
    text: str,
    ticket: Ticket,
    top_k: int,
    turn: asyncio.Semaphore,
    deadline: float,
) -> dict[str, object]:
    """Classify one of several texts; errors become its ``problem``."""
    async with turn:
        try:
            _, answer = await runtime_of(request).classifier.classify_text(
                text, ticket, top_k=top_k, deadline=deadline
            )
        except ServiceError as error:
            metrics_of(request).errors.labels(error.code).inc()
            problem = {"status": STATUS[error.code], "code": error.code, "detail": error.detail}
            return {"problem": problem}
    return {"result": text_json(answer)}


def add_text_routes(app: FastAPI) -> None:
    """Register both routes on the application."""
    routes: tuple[tuple[str, Any, Any], ...] = (
        ("/v1/classify-text", classify_text, ClassifyTextResponse | ClassifyTextsResponse),
        ("/v1/embed", embed, EmbedResponse),
    )
    for path, endpoint, answer in routes:
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            tags=["text"],
            dependencies=[requires(Scope.CLASSIFY)],
            response_model=answer,
            responses=problems(*IMAGE_PROBLEMS),
            openapi_extra=takes(TextBody),
            route_class_override=LeanRoute,
        )
