"""Declares drop-in endpoints: lean routes with bodies for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from types import UnionType
from typing import get_args

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from auth.principal import Scope
from schemas.http.inference import InferenceError
from service.transport.dependencies import requires
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import problems

TAG = "compatibility"
CALL_ERRORS = (400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504)


errors = partial(problems, model=InferenceError)


def add_call(
    app: FastAPI,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    takes: type[BaseModel] | UnionType,
    gives: object,
    *,
    scope: Scope = Scope.INFER,
) -> None:
    """Register a lean route with JSON bodies, and ``InferenceError`` for errors."""
    schemas = [
        {"$ref": f"#/components/schemas/{model.__name__}"} for model in get_args(takes) or (takes,)
    ]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    app.router.add_api_route(
        path,
        endpoint,
        methods=["POST"],
        tags=[TAG],
        dependencies=[requires(scope)],
        response_model=gives,
        responses=errors(*CALL_ERRORS),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
        route_class_override=LeanRoute,
    )
