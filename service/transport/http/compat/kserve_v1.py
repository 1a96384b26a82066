"""KServe V1: ``POST /v1/models/{name}:predict``.

KServe's readiness, ``GET /v1/models/{name}``, is Potoo's own route, whose response has ``name`` and
``ready`` too.
"""

from __future__ import annotations

import re

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from schemas.http.compatibility import RowAnswers, Rows
from service.transport.dependencies import call_context
from service.transport.http.compat.calls import predict
from service.transport.http.compat.operation import add_call
from service.transport.http.middleware.compression import ENCODINGS
from service.transport.http.middleware.error_formats import ErrorFormat, error_alone

PROTOCOL = "kserve_v1"
ERROR_FORMAT = ErrorFormat(re.compile(r"/v1/models/[^:]*:[^/]*"), error_alone, ENCODINGS)
BODIES = (Rows,)


async def predict_instances(request: Request, name: str) -> Response:
    """Return a model's raw output for tensors or images in the format of KServe V1."""
    return await predict(request, name, None, call_context(request, PROTOCOL), with_columns=False)


def add_routes(app: FastAPI) -> None:
    """Register the route on the application."""
    add_call(app, "/v1/models/{name}:predict", predict_instances, Rows, RowAnswers)
