"""Bodies that may be compressed: received and decompressed within limits and the byte budget."""

from __future__ import annotations

from starlette.requests import Request

from service.core.engine.pool import WorkerPool
from service.transport.budget import Reservation
from service.transport.dependencies import runtime_of
from service.transport.http.body.body import content_encoding
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.compression import ENCODINGS, Decompressor

VALUE_BYTES = 48
"""Bytes per JSON number while parsed: in the parser, as an object, a reference to it."""


async def read_packed(request: Request, hold: Reservation, limit: int) -> bytes | bytearray:
    """Read a body of up to ``limit`` bytes, compressed or not.

    Raises:
        PayloadTooLarge, UploadTimeout, Overloaded, UnsupportedMediaType: see ``BodyReader.read``.
        InvalidRequest: the body cannot be decompressed.
    """
    uploads = uploads_of(request)
    body = await uploads.reader.read(request, hold, limit, encodings=ENCODINGS)
    if encoding := content_encoding(request):
        limit = min(limit, uploads.limits.max_decompressed_bytes)
        return await _decompressed(body, encoding, limit, hold, runtime_of(request).pool)
    return body


def json_cost(body: bytes | bytearray, length: int) -> int:
    """Estimate the bytes that the values in the first ``length`` bytes take once parsed.

    Counts commas, about one per value, so that the cost is known before parsing.
    """
    return VALUE_BYTES * body.count(b",", 0, length)


async def _decompressed(
    body: bytes, encoding: str, limit: int, hold: Reservation, pool: WorkerPool
) -> bytearray:
    """Decompress off the event loop; grow the reservation with the output."""
    decompressor = Decompressor(encoding, body, limit)
    while await pool.run(decompressor.step):
        hold.reserve(len(body) + len(decompressor.output))
    return decompressor.output
