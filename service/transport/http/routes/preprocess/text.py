"""``POST /v1/preprocess/text``: the tokens of texts as a model takes them, or hashed vectors."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.preprocess.text import PreparedTextResponse, PrepareTextOptions, TextBody
from service.preprocess.text.prepared import PreparedTexts, to_document
from service.transport.dependencies import admit, requires, runtime_of
from service.transport.http.body.json_body import takes
from service.transport.http.body.text_body import read_texts
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import problems
from service.transport.http.routes.classify import IMAGE_PROBLEMS, call_of

INLINE_NUMBERS = 32_768
"""An answer with more numbers is written on another thread."""


async def preprocess_text(
    request: Request, options: Annotated[PrepareTextOptions, Query()]
) -> Response:
    """Prepare texts as a model takes them.

    Send `{"text": "..."}` or `{"texts": [...]}`. The answer has the numbers of the tokens, padded
    to one length, and a mask; with `offsets=true` also the tokens in words and their places.
    `method=hash` answers vectors of hashed n-grams instead, and needs no model.
    """
    runtime, call = runtime_of(request), call_of(request, options)
    preprocessing, ticket = runtime.preprocessing, None
    if options.method == "tokens":
        ticket = admit(request, options.model, options.version, call)
    with uploads_of(request).hold as hold:
        body = await read_texts(request, hold, preprocessing.settings.max_texts)
        texts = await preprocessing.texts(body.all, options, ticket)
        request_id = request.scope["state"]["request_id"]
        if _numbers(texts) <= INLINE_NUMBERS:
            answer = _to_json(texts, request_id)
        else:
            answer = await preprocessing.pool.run(lambda: _to_json(texts, request_id))
    return Response(answer, headers={"cache-control": "no-store"}, media_type="application/json")


def _numbers(texts: PreparedTexts) -> int:
    if texts.vectors is not None:
        return texts.vectors.size
    return sum(map(len, texts.ids)) * (1 if texts.offsets is None else 3)


def _to_json(texts: PreparedTexts, request_id: str) -> bytes:
    document = to_document(texts)
    document["request_id"] = request_id
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def add_preprocess_text_route(app: FastAPI) -> None:
    """Register the route on the application."""
    app.router.add_api_route(
        "/v1/preprocess/text",
        preprocess_text,
        methods=["POST"],
        tags=["preprocess"],
        dependencies=[requires(Scope.PREPROCESS)],
        response_model=PreparedTextResponse,
        responses=problems(*IMAGE_PROBLEMS),
        openapi_extra=takes(TextBody),
        route_class_override=LeanRoute,
    )
