"""Lines of a body that arrives in pieces of any size. Sans-I/O: bytes in, lines out.

A line ends at a line feed, before which a carriage return is dropped, or at the end of the body.
Lines of spaces are passed over. Of a line that is too long no more than the limit is ever kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto


class TooLong(Enum):
    """Stands in for a line beyond the limit."""

    LINE = auto()


Line = bytes | TooLong


class LineSplitter:
    """Splits a body into lines of at most ``max_bytes``, their ends aside."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()
        self._is_dropping = False

    @property
    def held(self) -> int:
        """Bytes kept of a line whose end has not arrived."""
        return len(self._begun)

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Yield the lines that a piece completes; exhaust it before the next call."""
        begin = 0
        while (end := piece.find(b"\n", begin)) >= 0:
            yield from self._add(piece, begin, end)
            yield from self._complete()
            begin = end + 1
        yield from self._add(piece, begin, len(piece))

    def end(self) -> Iterator[Line]:
        """Yield the last line, if its end was that of the body."""
        yield from self._complete()

    def drop(self) -> None:
        """Drop the line whose end has not arrived; it is not yielded."""
        self._begun = bytearray()
        self._is_dropping = True

    def _add(self, piece: bytes, begin: int, end: int) -> Iterator[Line]:
        """Keep a part of a line; yield ``TooLong`` as soon as it is."""
        if self._is_dropping:
            return
        # One more may be the carriage return before the line's end.
        if len(self._begun) + end - begin > self._max_bytes + 1:
            self.drop()
            yield TooLong.LINE
            return
        self._begun += memoryview(piece)[begin:end]

    def _complete(self) -> Iterator[Line]:
        line, was_dropped = self._begun, self._is_dropping
        self._begun, self._is_dropping = bytearray(), False
        if was_dropped:
            return
        if line.endswith(b"\r"):
            del line[-1:]
        if len(line) > self._max_bytes:
            yield TooLong.LINE
        elif line.strip():
            yield bytes(line)
