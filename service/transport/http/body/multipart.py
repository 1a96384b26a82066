"""Parser of ``multipart/form-data`` (RFC 7578) for a body that is already in memory.

python-multipart does the parsing; files are slices of the body, so nothing is spooled to disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from schemas.errors import InvalidRequest, PayloadTooLarge
from service.transport.http.middleware.media_type import MediaType


@dataclass(slots=True)
class Part:
    """One part: ``name`` of the field, ``file_name`` as the client gave it."""

    name: str
    file_name: str | None
    content: bytes


@dataclass(slots=True)
class _Collector:
    """Receiver of the parser's callbacks."""

    max_parts: int
    max_file_name_chars: int
    parts: list[Part] = field(default_factory=list)
    is_complete: bool = False
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _chunks: list[bytes] = field(default_factory=list)

    def on_part_begin(self) -> None:
        if len(self.parts) >= self.max_parts:
            message = f"The form has more than {self.max_parts} parts."
            raise PayloadTooLarge(message)
        self._disposition = b""
        self._chunks = []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            if self._disposition:
                message = "A part has two Content-Disposition headers."
                raise InvalidRequest(message)
            self._disposition = self._value
        self._header = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def on_part_end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if kind != b"form-data" or name is None:
            message = "A part has no name."
            raise InvalidRequest(message)
        file_name = options.get(b"filename")
        shown = None if file_name is None else _text(file_name)
        if shown is not None and len(shown) > self.max_file_name_chars:
            message = f"A file name is longer than {self.max_file_name_chars} characters."
            raise InvalidRequest(message)
        self.parts.append(Part(_text(name), shown, b"".join(self._chunks)))

    def on_end(self) -> None:
        self.is_complete = True


def parse_form(
    content_type: MediaType, body: bytes, *, max_parts: int, max_file_name_chars: int
) -> list[Part]:
    """Return the parts of a form in order.

    Raises:
        InvalidRequest: no boundary, malformed, cut short, or a file name that is too long.
        PayloadTooLarge: more than ``max_parts`` parts; raised at the first excess part.
    """
    boundary = content_type.parameters.get("boundary")
    if not boundary:
        message = "The Content-Type has no multipart boundary."
        raise InvalidRequest(message)
    collector = _Collector(max_parts, max_file_name_chars)
    names = ("part_begin", "header_field", "header_value", "header_end", "part_data", "part_end")
    callbacks = {f"on_{name}": getattr(collector, f"on_{name}") for name in (*names, "end")}
    try:
        parser = MultipartParser(boundary.encode("latin-1"), callbacks)  # type: ignore[arg-type]
        for piece in _without_preamble(boundary.encode("latin-1"), body):
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        message = "The multipart form is malformed."
        raise InvalidRequest(message) from error
    if not collector.is_complete:
        message = "The multipart form is cut short."
        raise InvalidRequest(message)
    return collector.parts


def _without_preamble(boundary: bytes, body: bytes) -> tuple[bytes, ...]:
    """Return the body from its first delimiter on, in pieces for the parser.

    The parser does not support the preamble, which is ignored, or the spaces that transports may
    add to the first delimiter (RFC 2046, section 5.1.1: "transport-padding").
    """
    delimiter = b"--" + boundary
    if body.startswith(delimiter + b"\r\n"):
        return (body,)
    line = re.escape(delimiter) + rb"[ \t]*+\r\n"
    # The literal in front lets the search skip a long preamble fast.
    found = re.match(line, body) or re.search(rb"\r\n" + line, body)
    if found is None:
        return (body,)
    return delimiter + b"\r\n", body[found.end() :]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
