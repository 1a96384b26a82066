"""Incremental parser of ``multipart/x-mixed-replace``: motion JPEG as cameras really send it.

Cameras omit Content-Length, end lines with LF alone, write the leading ``--`` of the delimiter into
the header's boundary, and send empty parts. No I/O; bounded memory; the result does not depend on
how the stream is split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto

MAX_HEADERS = 8192
"""Bytes of the headers of a part."""
_MAX_DASHES = 8
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_LENGTH = re.compile(rb"content-length\s*:\s*(\d{1,15})\s*", re.IGNORECASE)


class MalformedStream(Exception):
    """The stream has no boundary, or endless headers."""


class PartTooLarge(Exception):
    """A part is larger than allowed; it was not buffered beyond that."""


class StreamEnded(Exception):
    """The closing delimiter was received."""


class _Reading(Enum):
    PREAMBLE = auto()
    """Everything up to a delimiter is skipped."""
    DELIMITER = auto()
    """The rest of a delimiter's line."""
    HEADERS = auto()
    BODY = auto()
    """Up to the next delimiter, or a known number of bytes."""


def boundary_of(content_type: str) -> str | None:
    """Return the boundary of a Content-Type header, unquoted; None without one."""
    if not (found := _BOUNDARY.search(content_type)):
        return None
    quoted, token = found.groups()
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else str(token)


class MultipartParser:
    """Parses one stream.

    Args:
        boundary: of the Content-Type header; leading dashes do not matter.
        max_bytes: of one part.

    Raises:
        MalformedStream: the boundary holds nothing but dashes, or is no latin-1.
    """

    def __init__(self, boundary: str, max_bytes: int) -> None:
        try:
            core = boundary.lstrip("-").encode("latin-1")
        except UnicodeEncodeError:
            core = b""
        if not core or len(core) > 200 or b"\n" in core:
            raise MalformedStream("The stream's boundary cannot be used")
        self._delimiter = re.compile(rb"\r?\n-{2,%d}%b" % (_MAX_DASHES, re.escape(core)))
        self._overlap = 2 + _MAX_DASHES + len(core)
        self._max_bytes = max_bytes
        # A delimiter begins a line: so does the stream, and what follows headers or a body.
        self._buffer = bytearray(b"\n")
        self._searched = 0
        self._reading = _Reading.PREAMBLE
        self._length: int | None = None
        self._header_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take bytes of the stream; yield the bodies of the parts that are complete, if not empty.

        Raises:
            MalformedStream: the headers of a part are too long.
            PartTooLarge: a part is announced as too large, or becomes so.
            StreamEnded: the closing delimiter.
        """
        self._buffer += data
        steps = {
            _Reading.PREAMBLE: self._skip,
            _Reading.DELIMITER: self._end_delimiter,
            _Reading.HEADERS: self._read_header,
            _Reading.BODY: self._read_body,
        }
        while (part := steps[self._reading]()) is not None:
            if part:
                yield part

    # Each step returns None if it needs more bytes, else a body, or nothing.

    def _skip(self) -> bytes | None:
        found = self._delimiter.search(self._buffer)
        if found is None:
            del self._buffer[: -self._overlap]
            return None
        del self._buffer[: found.end()]
        self._reading = _Reading.DELIMITER
        return b""

    def _end_delimiter(self) -> bytes | None:
        line = self._take_line()
        if line is None:
            if len(self._buffer) > MAX_HEADERS:
                raise MalformedStream("The headers of a part are too long")
            return None
        if line.startswith(b"--"):
            raise StreamEnded
        self._reading = _Reading.HEADERS
        self._length, self._header_bytes = None, 0
        return b""

    def _read_header(self) -> bytes | None:
        line = self._take_line()
        self._header_bytes += len(self._buffer) if line is None else len(line) + 1
        if self._header_bytes > MAX_HEADERS:
            raise MalformedStream("The headers of a part are too long")
        if line is None:
            self._header_bytes -= len(self._buffer)
        elif not line:
            self._begin_body()
        elif found := _LENGTH.fullmatch(line):
            self._length = int(found[1])
        return None if line is None else b""

    def _begin_body(self) -> None:
        # A length of zero is what some cameras send before every image.
        if self._length is not None and self._length > self._max_bytes:
            raise PartTooLarge
        if not self._length:
            self._length = None
            self._buffer[:0] = b"\n"
            self._searched = 0
        self._reading = _Reading.BODY

    def _read_body(self) -> bytes | None:
        if self._length is not None:
            return self._read_length(self._length)
        found = self._delimiter.search(self._buffer, self._searched)
        size = (found.start() if found else len(self._buffer) - self._overlap) - 1
        if size > self._max_bytes:
            raise PartTooLarge
        if found is None:
            self._searched = max(0, len(self._buffer) - self._overlap)
            return None
        body = bytes(self._buffer[1 : found.start()])
        del self._buffer[: found.end()]
        self._reading = _Reading.DELIMITER
        return body

    def _read_length(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        self._buffer[:length] = b"\n"
        # If the length was wrong, the next delimiter puts it right.
        self._reading = _Reading.PREAMBLE
        return body

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line
