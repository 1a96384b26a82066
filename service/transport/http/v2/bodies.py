"""Bodies of ``infer`` within limits: received, decompressed and parsed, all of it counted."""

from __future__ import annotations

from starlette.requests import Request

from schemas.errors import PayloadTooLarge
from service.core.pool import WorkerPool
from service.settings import LimitSettings
from service.transport.budget import Hold
from service.transport.dependencies import runtime_of
from service.transport.http.body import content_encoding
from service.transport.http.compression import ENCODINGS, Decompressor
from service.transport.http.uploads import INLINE_JSON_BYTES, Uploads
from service.transport.http.v2 import codec
from service.transport.http.v2.codec import HEADER, Asked

VALUE_BYTES = 48
"""What a number in JSON takes while it is read: in the parser, as an object, a reference to it."""


async def read_infer(request: Request, hold: Hold, model: str, version: int | None) -> Asked:
    """The request in a request's body.

    JSON may be as long as one upload, tensors behind it as long as a batch of them.

    Raises:
        PayloadTooLarge, UploadTimeout, Overloaded, UnsupportedMediaType: see ``BodyReader.read``.
        InvalidRequest: it cannot be decompressed.
        InvalidRequest, InvalidTensor, Unsupported: see ``codec.read``.
    """
    uploads: Uploads = request.app.state.uploads
    limits: LimitSettings = request.app.state.settings.limits
    length = codec.header_length(_header(request, HEADER.encode()))
    if length is not None and length > limits.max_body_bytes:
        raise PayloadTooLarge("The JSON before the tensors is too large.")
    limit = limits.max_body_bytes if length is None else limits.max_batch_bytes
    pool = runtime_of(request).pool
    sent = await uploads.reader.read(request, hold, limit, encodings=ENCODINGS)
    body: bytes | bytearray = sent
    if encoding := content_encoding(request):
        limit = min(limit, limits.max_decompressed_bytes)
        body = await _decompressed(sent, encoding, limit, hold, pool)
    json_bytes = len(body) if length is None else length
    # A comma for a value, or nearly: what they all will take is known before they are read.
    hold.grow_to(len(body) + VALUE_BYTES * body.count(b",", 0, json_bytes))
    if json_bytes <= INLINE_JSON_BYTES:
        return codec.read(body, length, model, version)
    return await pool.run(lambda: codec.read(body, length, model, version))


async def _decompressed(
    body: bytes, encoding: str, limit: int, hold: Hold, pool: WorkerPool
) -> bytearray:
    """Not on the event loop, and held as it grows."""
    decompressor = Decompressor(encoding, body, limit)
    while await pool.run(decompressor.step):
        hold.grow_to(len(body) + len(decompressor.output))
    return decompressor.output


def _header(request: Request, name: bytes) -> list[bytes]:
    return [value for key, value in request.scope["headers"] if key == name]
