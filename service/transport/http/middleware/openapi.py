"""The OpenAPI document: declared errors, problem+json, plain operation ids, file uploads."""

from __future__ import annotations

import asyncio
import http
from collections.abc import Sequence
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from schemas.errors import ErrorCode, ServiceError
from schemas.http.problem import Problem
from service import __version__
from service.settings import Exposure
from service.transport.dependencies import requires
from service.transport.http.middleware.errors import PROBLEM_TYPE, STATUS, TITLES

OPENAPI_PATH = "/openapi.json"
DESCRIPTION = """\
Potoo answers *what is in this picture?* over the network.

**First call**: press *Authorize*, sign in with your name and password (leave the client fields
empty), then try `POST /v1/classify` with a photo.

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457) with a stable `code`; every
answer carries `X-Request-ID`, the same id as in the server's log.
"""
BINARY = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
"""Schema of an upload, in the terms of OpenAPI 3.0 and of 3.1 (generators read either)."""
TAGS = [
    {"name": "classify", "description": "Images in, labelled predictions out."},
    {
        "name": "inference",
        "description": "Tensors in, tensors out: the Open Inference Protocol V2, for Triton's and "
        "KServe's clients.",
    },
    {
        "name": "preprocess",
        "description": "Images, numbers and texts in; what models take of them out.",
    },
    {"name": "text", "description": "Texts in, labels or vectors out."},
    {"name": "models", "description": "Which models answer, and how good they are."},
    {"name": "cameras", "description": "Cameras that the server watches, their states and events."},
    {
        "name": "sensors",
        "description": "Sensors whose samples the server classifies, their states, results and "
        "events.",
    },
    {"name": "teach", "description": "Datasets of labelled photos, and models taught with them."},
    {"name": "training", "description": "Models that several sites train together."},
    {"name": "compatibility", "description": "What clients of other servers call already."},
    {"name": "auth", "description": "Access tokens (OAuth 2.0, RFC 6749), sessions, public keys."},
    {"name": "admin", "description": "People and clients."},
    {"name": "health", "description": "For probes and Prometheus."},
]


def problems(*statuses: int, model: type[BaseModel] = Problem) -> dict[int | str, dict[str, Any]]:
    """Declare error responses of a route; ``model``: the body, if another protocol's.

    By reference to the schema: FastAPI would build a validator of the model for every status of
    every route, 200 ms of a start. The application hands the model to ``add_openapi``.
    """
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    if model is not Problem:
        content = {"application/json": {"schema": schema}}
        return {status: {"description": _title(status), "content": content} for status in statuses}
    return {
        status: {
            "description": _title(status),
            "content": {PROBLEM_TYPE: {"schema": schema, "examples": _examples_of(status)}},
        }
        for status in statuses
    }


def _examples_of(status: int) -> dict[str, dict[str, str]]:
    """Refer to an example for each error code of a status."""
    return {
        code.value: {"$ref": f"#/components/examples/{code.value}"}
        for code, its_status in STATUS.items()
        if its_status == status and code not in _OTHER_FORMATS
    }


_OTHER_FORMATS = {ErrorCode.INVALID_CREDENTIALS, ErrorCode.INVALID_TENSOR, ErrorCode.UNSUPPORTED}
"""Error codes of OAuth and the Open Inference Protocol, whose errors are no problems."""


def _problem_examples() -> dict[str, Any]:
    """Return an example of a problem by error code."""
    return {
        kind.code.value: {
            "value": {
                "type": "about:blank",
                "title": TITLES[STATUS[kind.code]],
                "status": STATUS[kind.code],
                "detail": kind.default_detail,
                "code": kind.code.value,
                "request_id": "5f0c6d1e8f1b4c55a4a34b1df4bd3f7a",
            }
        }
        for kind in _kinds(ServiceError)
        if kind.code not in _OTHER_FORMATS
    }


def _kinds(root: type[ServiceError]) -> list[type[ServiceError]]:
    """Return the error classes of ``schemas.errors``; of a code the most specific one is last."""
    below = (child for child in root.__subclasses__() if child.__module__ == root.__module__)
    return [root, *(kind for child in below for kind in _kinds(child))]


def operation_id(route: APIRoute) -> str:
    """Return the method name in generated clients: ``classify_batch`` -> ``classifyBatch``."""
    head, *rest = route.name.split("_")
    return head + "".join(word.title() for word in rest)


def add_openapi(app: FastAPI, extra_schemas: Sequence[type[BaseModel]], exposure: Exposure) -> None:
    """Serve ``/openapi.json``: FastAPI's document of the routes, adjusted, built at the first call.

    Args:
        exposure: who may read it: every caller, callers with a token, or no caller.
    """
    is_building = Lock()

    def openapi() -> dict[str, Any]:
        with is_building:
            if app.openapi_schema is None:
                app.openapi_schema = _document(app, extra_schemas)
            return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    async def get_openapi_document() -> JSONResponse:
        # The first call builds the document: half a second, in which the event loop must not wait.
        return JSONResponse(await asyncio.to_thread(app.openapi))

    if exposure != "off":
        policy = [requires(None)] if exposure == "token" else []
        app.get(OPENAPI_PATH, include_in_schema=False, dependencies=policy)(get_openapi_document)


def _document(app: FastAPI, extra_schemas: Sequence[type[BaseModel]]) -> dict[str, Any]:
    document = get_openapi(
        title="Potoo",
        version=__version__,
        summary="What is in this picture?",
        description=DESCRIPTION,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _add_schemas(document, extra_schemas)
    used = {
        name
        for path in document["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for name in response.get("content", {}).get(PROBLEM_TYPE, {}).get("examples", {})
    }
    document["components"]["examples"] = {
        name: example for name, example in _problem_examples().items() if name in used
    }
    tags = set()
    for path in document["paths"].values():
        for operation in path.values():
            _polish(operation)
            tags.update(operation["tags"])
    # Some routes depend on settings.
    document["tags"] = [tag for tag in TAGS if tag["name"] in tags]
    # FastAPI's own error format, which no route uses.
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def _polish(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    validation = responses.get("422", {}).get("content", {}).get("application/json", {})
    if validation.get("schema", {}).get("$ref", "").endswith("HTTPValidationError"):
        del responses["422"]
    for status, headers in _HEADERS.items():
        if status in responses:
            responses[status].setdefault("headers", {}).update(headers)
    for response in responses.values():
        response.setdefault("headers", {})["X-Request-ID"] = {"schema": {"type": "string"}}


_HEADERS = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    "429": {
        "Retry-After": {"schema": {"type": "integer"}},
        "RateLimit": {"schema": {"type": "string"}},
        "RateLimit-Policy": {"schema": {"type": "string"}},
    },
    "503": {"Retry-After": {"schema": {"type": "integer"}}},
}


def _add_schemas(document: dict[str, Any], models: Sequence[type[BaseModel]]) -> None:
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    document["components"]["schemas"].update(definitions["$defs"])


def _title(status: int) -> str:
    return TITLES.get(status) or http.HTTPStatus(status).phrase
