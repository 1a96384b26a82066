"""A large body, received into one buffer instead of in pieces that are joined afterwards."""

from __future__ import annotations

import io
from collections.abc import Callable

from schemas.errors import ServiceError

WHOLE = "potoo.whole_body"
"""Key of a request's scope: the ``WholeBody`` that a reader wants the server to fill."""
LEAST_BYTES = 2**20
"""Length from which a body is received whole. Blocks of this size are mapped, not taken from the
heap (``service.process``), so that a body that does not arrive takes no memory."""


class WholeBody:
    """Buffer for a body of announced length: the server fills it, the reader takes its content.

    Attributes:
        length: announced number of bytes.
        received: number of bytes in the buffer.
        error: why no more bytes are accepted; None if they are.
    """

    def __init__(self, length: int, reserve: Callable[[int], None]) -> None:
        """``reserve`` is called with the number of bytes received; may raise ``ServiceError``."""
        self.length, self.received = length, 0
        self.error: ServiceError | None = None
        self._reserve = reserve
        self._reported, self._is_closed = 0, False
        # CPython shares the memory of a BytesIO with the bytes that it is made of and returns.
        self._file = io.BytesIO(bytes(length))
        self._view = self._file.getbuffer()

    @property
    def accepts(self) -> bool:
        """Whether more bytes may be written."""
        return self.error is None and self.received < self.length and not self._is_closed

    def rest(self) -> memoryview:
        """Return the part of the buffer to write to; only while ``accepts``."""
        return self._view[self.received :]

    def add(self, count: int) -> None:
        """Count bytes that were written to ``rest``, and reserve them; keep an error."""
        self.received += count
        try:
            self._reserve(self.received)
        except ServiceError as error:
            self.error = error

    def put(self, piece: bytes | bytearray) -> None:
        """Write a piece that arrived before; only while ``accepts``."""
        self._view[self.received : self.received + len(piece)] = piece
        self.add(len(piece))

    def report(self) -> memoryview:
        """Return what was written since the last report."""
        begin, self._reported = self._reported, self.received
        return self._view[begin : self._reported]

    def take(self) -> bytes:
        """Return the content without a copy, if no part of the buffer is in use any more."""
        self._view.release()
        return self._file.getvalue()

    def close(self) -> None:
        """Accept no more bytes, and drop the memory, which ``take`` may have returned."""
        self._is_closed = True
        # Not closed: the traceback of an error may hold a part of the buffer.
        self._file = io.BytesIO()
        self._view = self._file.getbuffer()
