"""Receives and parses bodies of ``infer`` within limits and the memory budget."""

from __future__ import annotations

from starlette.requests import Request

from schemas.errors import PayloadTooLarge
from service.transport.budget import Reservation
from service.transport.http.body.compressed_body import json_cost, read_packed
from service.transport.http.body.uploads import offload_if_large, uploads_of
from service.transport.http.v2 import codec
from service.transport.http.v2.codec import HEADER, ParsedInfer


async def read_infer(request: Request, hold: Reservation) -> ParsedInfer:
    """The request in a request's body.

    JSON may have the size of one upload; the tensors after it the size of a batch.

    Raises:
        PayloadTooLarge, UploadTimeout, Overloaded, UnsupportedMediaType: see ``BodyReader.read``.
        InvalidRequest: the body cannot be decompressed.
        InvalidRequest, InvalidTensor, Unsupported: see ``codec.read``.
    """
    limits = uploads_of(request).limits
    length = codec.header_length(_header(request, HEADER.encode()))
    if length is not None and length > limits.max_body_bytes:
        raise PayloadTooLarge("The JSON before the tensors is too large.")
    limit = limits.max_body_bytes if length is None else limits.max_batch_bytes
    body = await read_packed(request, hold, limit)
    json_bytes = len(body) if length is None else length
    hold.reserve(len(body) + json_cost(body, json_bytes))
    return await offload_if_large(request, json_bytes, lambda: codec.read(body, length))


def _header(request: Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.scope["headers"] if key == name]
