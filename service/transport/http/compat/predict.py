"""``POST /predict``: classify one image in a form, with a simple response."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.classify import ClassifyOptions
from schemas.http.compatibility import BestClasses
from service.core.scheduling.priority import Priority
from service.transport.budget import Reservation
from service.transport.dependencies import call_context, requires
from service.transport.http.compat.calls import classify, json_response, shares
from service.transport.http.compat.forms import MULTIPART, URLENCODED, image_of_form
from service.transport.http.compat.operation import CALL_ERRORS, TAG
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.openapi import BINARY, problems

PROTOCOL = "predict"
FIELDS = ("image",)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "title": "PredictForm",
                    "properties": {
                        "image": {**BINARY, "description": "The image, or its base64 as text."}
                    },
                    "required": ["image"],
                }
            },
            URLENCODED: {
                "schema": {
                    "type": "object",
                    "title": "PredictFields",
                    "properties": {"image": {"type": "string", "description": "In base64."}},
                    "required": ["image"],
                }
            },
        },
    }
}


async def predict_best(request: Request, options: Annotated[ClassifyOptions, Query()]) -> Response:
    """Return the best class of an image, and the probabilities of the `top_k` best classes.

    The image is the field `image` of a form: a file, or base64. The best class is returned whatever
    its probability; `/v1/classify` applies the model's thresholds.
    """
    timeout = None if options.timeout_ms is None else options.timeout_ms / 1000
    call = call_context(request, PROTOCOL, priority=Priority(options.priority), timeout=timeout)
    answer = await classify(
        request, _image, options.model, options.version, call, top_k=options.top_k
    )
    best = answer.predictions[0]
    return json_response(
        orjson.dumps(
            {"class": best.label, "confidence": best.score, "probabilities": shares(answer)}
        )
    )


def add_routes(app: FastAPI) -> None:
    """Register the route on the application."""
    app.router.add_api_route(
        "/predict",
        predict_best,
        methods=["POST"],
        tags=[TAG],
        dependencies=[requires(Scope.CLASSIFY)],
        response_model=BestClasses,
        responses=problems(*CALL_ERRORS, 406, 409, 422),
        openapi_extra=_BODY,
        route_class_override=LeanRoute,
    )


async def _image(request: Request, hold: Reservation) -> bytes:
    return await image_of_form(request, hold, FIELDS)
