"""``POST /v2/models/{name}/infer``: raw inference on tensors or encoded images."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.http.inference import InferResponseBody
from service.transport.dependencies import admit, call_context, requires, runtime_of
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.compression import ENCODINGS, MIN_BYTES, accepted, compress
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.media_type import list_of
from service.transport.http.middleware.openapi import BINARY
from service.transport.http.v2 import codec
from service.transport.http.v2.bodies import read_infer
from service.transport.http.v2.routes import TAG, errors, version_of
from service.transport.open_inference.classification_extension import with_classes

PROTOCOL = "v2"
_HEADER = {
    "schema": {"type": "integer"},
    "description": "Bytes of JSON, before compression, if binary tensors follow it.",
}
_EXTRA = {
    "parameters": [
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "required": False,
            **_HEADER,
            "schema": {"type": "integer", "minimum": 0},
        },
        {
            "name": "Content-Encoding",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "enum": list(ENCODINGS)},
            "description": "How the body is compressed, if it is.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/InferRequestBody"}},
            "application/octet-stream": {"schema": BINARY},
        },
    },
}
_BINARY_ANSWER = {
    "headers": {"Inference-Header-Content-Length": _HEADER},
    "content": {"application/octet-stream": {"schema": BINARY}},
}


async def infer_model(request: Request, name: str) -> Response:
    """Return a model's raw output for a batch of tensors or encoded images.

    The body is JSON, or JSON followed by binary tensors. An encoded image is an element of a
    `BYTES` tensor of shape `[N]`.
    """
    return await _infer(request, name, None)


async def infer_model_version(request: Request, name: str, version: str) -> Response:
    """Return the raw output of one version."""
    return await _infer(request, name, version_of(version))


async def _infer(request: Request, name: str, version: int | str | None) -> Response:
    ticket = admit(request, name, version, call_context(request, PROTOCOL))
    classifier = runtime_of(request).classifier
    with uploads_of(request).hold as hold:
        asked = await read_infer(request, hold)
        ticket = ticket.rescheduled(asked.priority, asked.timeout)
        answer = with_classes(await classifier.infer(asked.request, ticket), asked.outputs)
    body, headers = codec.write(answer, asked)
    return _compressed(request, body, headers)


def add_infer_routes(app: FastAPI) -> None:
    """Register both routes on the application."""
    routes: tuple[tuple[str, Any], ...] = (
        ("/v2/models/{name}/infer", infer_model),
        ("/v2/models/{name}/versions/{version}/infer", infer_model_version),
    )
    for path, endpoint in routes:
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            tags=[TAG],
            dependencies=[requires(Scope.INFER)],
            response_model=InferResponseBody,
            responses={
                200: _BINARY_ANSWER,
                **errors(400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504),
            },
            openapi_extra=_EXTRA,
            route_class_override=LeanRoute,
        )


def _compressed(request: Request, body: bytes, headers: dict[str, str]) -> Response:
    """Compress the response if the client accepts it and it is large enough."""
    headers["cache-control"] = "no-store"
    if len(body) >= MIN_BYTES and (encoding := accepted(list_of(request, b"accept-encoding"))):
        body = compress(body, encoding)
        headers |= {"content-encoding": encoding, "vary": "Accept-Encoding"}
    return Response(body, headers=headers)
