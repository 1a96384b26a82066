"""TorchServe: ``/predictions/{name}`` in the format of its image classifier, and ``/ping``."""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.classify import DEFAULT_TOP_K
from schemas.errors import ErrorCode
from schemas.http.compatibility import Ping, TorchServeError
from service.transport.budget import Reservation
from service.transport.dependencies import RuntimeDep, call_context, requires
from service.transport.http.body.uploads import uploads_of
from service.transport.http.compat.calls import (
    classify,
    json_response,
    shares,
)
from service.transport.http.compat.forms import MULTIPART, URLENCODED, image_of_form, is_form
from service.transport.http.compat.operation import CALL_ERRORS, TAG, errors
from service.transport.http.middleware.error_formats import ErrorFormat
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import BINARY
from service.transport.http.v2.routes import version_of

PROTOCOL = "torchserve"
BODIES = (TorchServeError,)
FIELDS = ("data", "body")
TYPES: dict[ErrorCode, str] = {
    ErrorCode.INVALID_REQUEST: "BadRequestException",
    ErrorCode.INVALID_PARAMETER: "BadRequestException",
    ErrorCode.INVALID_TENSOR: "BadRequestException",
    ErrorCode.UPDATE_REFUSED: "BadRequestException",
    ErrorCode.UNAUTHENTICATED: "InvalidKeyException",
    ErrorCode.INVALID_CREDENTIALS: "InvalidKeyException",
    ErrorCode.INSUFFICIENT_SCOPE: "InvalidKeyException",
    ErrorCode.MODEL_FORBIDDEN: "InvalidKeyException",
    ErrorCode.SITE_FORBIDDEN: "InvalidKeyException",
    ErrorCode.CROSS_ORIGIN_REFUSED: "InvalidKeyException",
    ErrorCode.NOT_FOUND: "ResourceNotFoundException",
    ErrorCode.MODEL_NOT_FOUND: "ModelNotFoundException",
    ErrorCode.METHOD_NOT_ALLOWED: "MethodNotAllowedException",
    ErrorCode.CONFLICT: "ConflictStatusException",
    ErrorCode.MODEL_NOT_CHOSEN: "ConflictStatusException",
    ErrorCode.NOT_ACCEPTABLE: "BadRequestException",
    ErrorCode.UPLOAD_TIMEOUT: "RequestTimeoutException",
    ErrorCode.PAYLOAD_TOO_LARGE: "TooLongFrameException",
    ErrorCode.IMAGE_TOO_LARGE: "TooLongFrameException",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "BadRequestException",
    ErrorCode.UNSUPPORTED_IMAGE: "BadRequestException",
    ErrorCode.INVALID_IMAGE: "BadRequestException",
    ErrorCode.UNSUPPORTED: "BadRequestException",
    ErrorCode.RATE_LIMITED: "ServiceUnavailableException",
    ErrorCode.OVERLOADED: "ServiceUnavailableException",
    ErrorCode.NOT_READY: "ServiceUnavailableException",
    ErrorCode.DEADLINE_EXCEEDED: "RequestTimeoutException",
    ErrorCode.INFERENCE_FAILED: "InternalServerException",
    ErrorCode.INTERNAL_ERROR: "InternalServerException",
}
"""TorchServe's class names. Covers all of ``ErrorCode``, as a test checks."""


def _error(status: int, code: ErrorCode, detail: str) -> dict[str, object]:
    return {"code": status, "type": TYPES[code], "message": detail}


ERROR_FORMAT = ErrorFormat(re.compile(r"/ping|/predictions(/.*)?", re.DOTALL), _error)
_FORM = {
    "type": "object",
    "title": "TorchServeForm",
    "properties": {name: {**BINARY, "description": "The image."} for name in FIELDS},
    "minProperties": 1,
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": BINARY},
            "application/octet-stream": {"schema": BINARY},
            MULTIPART: {"schema": _FORM},
            URLENCODED: {
                "schema": {
                    "type": "object",
                    "title": "TorchServeFields",
                    "properties": {name: {"type": "string"} for name in FIELDS},
                    "minProperties": 1,
                }
            },
        },
    }
}
router = APIRouter(tags=[TAG])


@router.get("/ping", responses={500: {"model": Ping, "description": "No model answers."}})
async def ping(runtime: RuntimeDep, response: Response) -> Ping:
    """Health check; `500` if no model is ready or tokens cannot be checked."""
    readiness = runtime.classifier.readiness().values()
    is_open = runtime.identity.is_ready and not runtime.shutdown.is_announced
    if not (is_open and any(readiness)):
        response.status_code = 500
        return Ping(status="Unhealthy")
    return Ping(status="Healthy" if all(readiness) else "Partial Healthy")


async def predict_image(request: Request, name: str) -> Response:
    """Return the five most probable classes of an image, best first, with their probabilities.

    The image is the body, or the field `data` or `body` of a form.
    """
    return await _predict(request, name, None)


async def predict_image_by_version(request: Request, name: str, version: str) -> Response:
    """Same for one version; `2.0` means 2."""
    return await _predict(request, name, version_of(version.removesuffix(".0")))


async def put_image(request: Request, name: str) -> Response:
    """Same as POST: `curl -T` sends PUT."""
    return await predict_image(request, name)


async def put_image_by_version(request: Request, name: str, version: str) -> Response:
    """Same for one version; `2.0` means 2."""
    return await predict_image_by_version(request, name, version)


def add_routes(app: FastAPI) -> None:
    """Register the routes on the application."""
    routes: tuple[tuple[str, str, Any], ...] = (
        ("POST", "", predict_image),
        ("POST", "/{version}", predict_image_by_version),
        ("PUT", "", put_image),
        ("PUT", "/{version}", put_image_by_version),
    )
    for method, place, endpoint in routes:
        app.router.add_api_route(
            "/predictions/{name}" + place,
            endpoint,
            methods=[method],
            tags=[TAG],
            dependencies=[requires(Scope.CLASSIFY)],
            response_model=dict[str, float],
            responses=errors(*CALL_ERRORS, model=TorchServeError),
            openapi_extra=_BODY,
            route_class_override=LeanRoute,
        )
    app.include_router(router)


async def _predict(request: Request, name: str, version: int | str | None) -> Response:
    call = call_context(request, PROTOCOL)
    answer = await classify(request, _image, name, version, call, top_k=DEFAULT_TOP_K)
    return json_response(orjson.dumps(shares(answer)))


async def _image(request: Request, hold: Reservation) -> bytes:
    """Read the image: the field of a form, or the body of any other content type."""
    if is_form(request):
        return await image_of_form(request, hold, FIELDS)
    uploads = uploads_of(request)
    return await uploads.reader.read(request, hold, uploads.limits.max_body_bytes)
