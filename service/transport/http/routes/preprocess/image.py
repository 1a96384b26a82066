"""``POST /v1/preprocess/image``: the tensor of an image, or a picture of it."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.preprocess.image import PreparedImageResponse, PrepareImageOptions
from service.core.serving.image_tensors import ImageTensor
from service.preprocess.images.forms import LENGTH_HEADER, to_binary, to_document, to_npy
from service.transport.dependencies import admit, requires, runtime_of
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.lean_route import LeanRoute
from service.transport.http.middleware.negotiation import best_of
from service.transport.http.middleware.openapi import BINARY, problems
from service.transport.http.routes.classify import IMAGE_BODY, IMAGE_PROBLEMS, call_of

JSON, NPY = "application/json", "application/x-npy"
OCTETS, PNG = "application/octet-stream", "image/png"
FORMS = (JSON, NPY, OCTETS)
"""Forms of a tensor, the default first."""
MODEL_HEADER = "potoo-model"
_MODEL = {
    "schema": {"type": "string"},
    "description": "The model and its version; of answers that are not JSON.",
    "example": "everyday@1",
}
_LENGTH = {
    "schema": {"type": "integer"},
    "description": "Bytes of JSON before the tensor; of `application/octet-stream`.",
}
_ANSWER = {
    "description": "The tensor in the form that the Accept header asks for, or the picture.",
    "headers": {"Potoo-Model": _MODEL, "Inference-Header-Content-Length": _LENGTH},
    "content": {NPY: {"schema": BINARY}, OCTETS: {"schema": BINARY}, PNG: {"schema": BINARY}},
}


class FormRoute(LeanRoute):
    """Route whose endpoint chooses the form of its answer by the Accept header."""

    def negotiate(self, connection: HTTPConnection) -> None:
        """Leave the header to the endpoint."""


async def preprocess_image(
    request: Request, options: Annotated[PrepareImageOptions, Query()]
) -> Response:
    """Prepare an image as a model takes it.

    Send the image as to `/v1/classify`. The answer is the tensor that the model's graph takes:
    JSON, a NumPy file (`Accept: application/x-npy`), or an answer of the Open Inference Protocol
    with a binary tensor (`application/octet-stream`). `view=png` shows it as a picture.
    """
    form = best_of(request, (PNG,) if options.view == "png" else FORMS)
    uploads, preprocessing = uploads_of(request), runtime_of(request).preprocessing
    ticket = admit(request, options.model, options.version, call_of(request, options))
    with uploads.hold as hold:
        data = await uploads.image(request, hold)
        image = await preprocessing.image(data, ticket)
        if form == PNG:
            return _file(image, await preprocessing.png(image), PNG)
        if form == NPY:
            return _file(image, to_npy(image), NPY)
        if form == OCTETS:
            body, length = to_binary(image)
            return _file(image, body, OCTETS, {LENGTH_HEADER: str(length)})
        document = to_document(image, options.data)
        document["request_id"] = request.scope["state"]["request_id"]
        # Writing a number of JSON takes longer than computing it.
        body = await preprocessing.pool.run(lambda: to_json(document))
    return Response(body, headers={"cache-control": "no-store"}, media_type=JSON)


def to_json(document: dict[str, object]) -> bytes:
    """Write JSON that may hold NumPy arrays."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _file(
    image: ImageTensor, body: bytes, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    model = f"{image.model.name}@{image.model.version}"
    fixed = {"cache-control": "no-store", MODEL_HEADER: model}
    return Response(body, headers=fixed | (headers or {}), media_type=media_type)


def add_preprocess_image_route(app: FastAPI) -> None:
    """Register the route on the application."""
    declared: dict[str, Any] = {"requestBody": IMAGE_BODY}
    app.router.add_api_route(
        "/v1/preprocess/image",
        preprocess_image,
        methods=["POST"],
        tags=["preprocess"],
        dependencies=[requires(Scope.PREPROCESS)],
        response_model=PreparedImageResponse,
        responses={200: _ANSWER, **problems(*IMAGE_PROBLEMS)},
        openapi_extra=declared,
        route_class_override=FormRoute,
    )
