"""Compressed bodies: decompressed in steps within a limit, compressed if the caller accepts it.

``deflate`` is the zlib format (RFC 9110, section 8.4.1.2), as inference clients send it.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from types import ModuleType
from typing import Protocol

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.transport.http.middleware.media_type import parse_preferences

ENCODINGS = ("gzip", "deflate", "zstd")
"""In order of preference; the encoding that tritonclient does not support is last."""
STEP_BYTES = 2**20
"""Output of one step; about five milliseconds."""
MIN_BYTES = 1024
"""Shorter responses are not compressed."""
_INPUT_BYTES = 2**16
_ZSTD_WINDOW_LOG = 23
"""8 MiB, which every decoder must support (RFC 9659)."""
_WBITS = {"gzip": 31, "deflate": 15}


class _Decoder(Protocol):
    """Common interface of the zlib and Zstandard decoders."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Decompressor:
    """One compressed body; ``output`` grows by each ``step``."""

    def __init__(self, encoding: str, data: bytes, limit: int) -> None:
        """Create a decompressor; ``limit``: bytes that ``output`` may have."""
        self.output = bytearray()
        self._decoder = _decoder(encoding)
        self._data, self._limit = data, limit
        self._position = 0

    def step(self) -> bool:
        """Decompress up to ``STEP_BYTES`` more; return whether more is left. Blocks.

        Raises:
            InvalidRequest: the data is damaged, or continues after its end.
            PayloadTooLarge: as soon as ``output`` exceeds ``limit``.
        """
        decoder, goal = self._decoder, len(self.output) + STEP_BYTES
        while len(self.output) < goal and not decoder.eof:
            data = self._next_input()
            try:
                output = decoder.decompress(data, goal - len(self.output))
            except Exception:  # noqa: BLE001 - each library raises its own
                raise _damaged() from None
            if not (data or output or decoder.eof):
                raise _damaged()
            self.output += output
            if len(self.output) > self._limit:
                raise _too_large(self._limit)
        if decoder.eof and (decoder.unused_data or self._position < len(self._data)):
            raise _damaged()
        return not decoder.eof

    def _next_input(self) -> bytes:
        """Return the input that the decoder did not consume, else the next piece."""
        left: bytes = getattr(self._decoder, "unconsumed_tail", b"")
        if left or not getattr(self._decoder, "needs_input", True):
            return left
        piece = self._data[self._position : self._position + _INPUT_BYTES]
        self._position += len(piece)
        return piece


class StreamDecompressor:
    """A compressed body that arrives in pieces, decompressed in steps: ``feed``, then ``step``."""

    def __init__(self, encoding: str, limit: int) -> None:
        """Create a decompressor; ``limit``: bytes that all steps together may return."""
        self._decoder = _decoder(encoding)
        self._limit, self._given = limit, 0
        self._input = b""
        self._has_more = False

    def feed(self, data: bytes) -> None:
        """Take a piece of the body; only once ``step`` has returned no bytes."""
        self._input = data

    def step(self) -> bytes:
        """Return up to ``STEP_BYTES`` more, or no bytes if the next piece is needed. Blocks.

        Raises:
            InvalidRequest: the data is damaged, or continues after its end.
            PayloadTooLarge: as soon as all steps exceed the limit.
        """
        decoder = self._decoder
        data = getattr(decoder, "unconsumed_tail", b"") + self._input
        self._input = b""
        if decoder.eof:
            if data or decoder.unused_data:
                raise _damaged()
            return b""
        if not data and not self._has_more:
            return b""
        try:
            output = decoder.decompress(data, STEP_BYTES)
        except Exception:  # noqa: BLE001 - each library raises its own
            raise _damaged() from None
        self._has_more = not decoder.eof and len(output) == STEP_BYTES
        if decoder.eof and decoder.unused_data and not output:
            raise _damaged()
        self._given += len(output)
        if self._given > self._limit:
            raise _too_large(self._limit)
        return output

    def end(self) -> None:
        """Note the end of the body.

        Raises:
            InvalidRequest: the compressed data has not ended.
        """
        if not self._decoder.eof:
            raise _damaged()


def accepted(header: str) -> str | None:
    """Return the best of ``ENCODINGS`` that an Accept-Encoding header accepts, or None.

    ``*`` stands for all encodings that the header does not name (RFC 9110, section 12.5.3).
    """
    named = dict(parse_preferences(header))
    others = named.get("*", False)
    return next((name for name in ENCODINGS if named.get(name, others)), None)


def compress(body: bytes, encoding: str) -> bytes:
    """Compress a body, for speed rather than size."""
    if encoding == "zstd":
        packed: bytes = _zstd().compress(body, 1)
        return packed
    encoder = zlib.compressobj(1, wbits=_WBITS[encoding])
    return encoder.compress(body) + encoder.flush()


def _decoder(encoding: str) -> _Decoder:
    if encoding == "zstd":
        zstd = _zstd()
        options = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        decoder: _Decoder = zstd.ZstdDecompressor(options=options)
        return decoder
    return zlib.decompressobj(_WBITS[encoding])


def _zstd() -> ModuleType:
    """Import Python's own module from 3.14 on, else the backport; late, as few callers need it."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return importlib.import_module(name)


def _damaged() -> InvalidRequest:
    return InvalidRequest("The body cannot be decompressed as its Content-Encoding says.")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The body is larger than {limit / 2**20:.3g} MiB once it is decompressed."
    )
