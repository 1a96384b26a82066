"""Shared steps of the drop-in endpoints: admission, reading the body, calling the core."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from service.core.imaging.answer import Classification
from service.core.scheduling.call_context import CallContext
from service.core.serving.queries.description import metadata
from service.core.tensors.inference import InferRequest
from service.transport.budget import Reservation
from service.transport.dependencies import admit, runtime_of
from service.transport.http.body.compressed_body import json_cost, read_packed
from service.transport.http.body.uploads import BASE64_SHARE, offload_if_large, uploads_of
from service.transport.http.compat import json_codec

ReadImage = Callable[[Request, Reservation], Awaitable[bytes]]


async def predict(
    request: Request, name: str, version: int | str | None, call: CallContext, *, with_columns: bool
) -> Response:
    """Return a model's raw output for the tensors or images in a JSON body.

    Raises:
        ModelForbidden, ModelNotFound, NotReady, Overloaded, DeadlineExceeded: before reading it.
        InvalidRequest, InvalidTensor: see ``json_codec.read_predict``.
        ServiceError: see ``BodyReader.read`` and ``Classifier.infer``.
    """
    ticket = admit(request, name, version, call)
    runtime, most = runtime_of(request), uploads_of(request).limits.max_tensor_batch
    with uploads_of(request).hold as hold:
        body = await _json_body(request, hold)
        # Keep one version: the tensor is parsed for its input.
        with runtime.classifier.lease(ticket) as leased:
            (spec,) = metadata(leased.model).inputs
            asked = await offload_if_large(
                request,
                len(body),
                lambda: json_codec.read_predict(body, spec, most, with_columns=with_columns),
            )
            answer = await runtime.classifier.infer(InferRequest((asked.tensor,)), leased)
    return json_response(json_codec.write_predict(answer, asked))


async def classify_examples(
    request: Request, name: str, version: int | str | None, call: CallContext, *, top_k: int
) -> Response:
    """Return labels and probabilities for the images in a JSON body.

    Raises:
        ServiceError: as ``predict``, and see ``Classifier.classify_all``.
    """
    ticket = admit(request, name, version, call)
    most = uploads_of(request).limits.max_tensor_batch
    with uploads_of(request).hold as hold:
        body = await _json_body(request, hold)
        images = await offload_if_large(
            request, len(body), lambda: json_codec.read_examples(body, most)
        )
        answers = await runtime_of(request).classifier.classify_all(images, ticket, top_k=top_k)
    return json_response(json_codec.write_examples(answers))


async def classify(
    request: Request,
    read: ReadImage,
    model: str | None,
    version: int | str | None,
    call: CallContext,
    *,
    top_k: int,
) -> Classification:
    """Classify the single image of a request.

    Args:
        read: extracts the image from the body.

    Raises:
        ServiceError: as ``predict``, what ``read`` raises, and see ``Classifier.classify``.
    """
    ticket = admit(request, model, version, call)
    with uploads_of(request).hold as hold:
        _, answer = await runtime_of(request).classifier.classify(
            await read(request, hold), ticket, top_k=top_k
        )
    return answer


def shares(answer: Classification) -> dict[str, float]:
    """Return probabilities by label, best first; the higher one if classes share a label."""
    found: dict[str, float] = {}
    for one in answer.predictions:
        found.setdefault(one.label, one.score)
    return found


def json_response(body: bytes) -> Response:
    """Build a successful JSON response."""
    return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")


async def _json_body(request: Request, hold: Reservation) -> bytes | bytearray:
    """Read a body of at most one upload in base64; reserves the memory of its parsed form."""
    limit = int(uploads_of(request).limits.max_body_bytes * BASE64_SHARE) + 4096
    body = await read_packed(request, hold, limit)
    hold.reserve(2 * len(body) + json_cost(body, len(body)))
    return body
