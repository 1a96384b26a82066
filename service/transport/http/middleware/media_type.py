"""Media types of headers (RFC 9110, section 8.3.1), and lists of names with weights (12.4.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection

# A parameter ends at a semicolon outside quotes; unclosed quotes extend to the end.
_PARAMETER = re.compile(r';((?:[^;"]++|"(?:[^"\\]++|\\.)*+"?)*+)', re.DOTALL)
# An element ends at a comma outside quotes; unclosed quotes extend to the end.
_ELEMENT = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ZERO = re.compile(r"0(\.0*)?")
_SPACE = " \t"
_NO_PARAMETERS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type, or a range of them.

    Attributes:
        name: ``type/subtype`` in lower case; not checked for well-formedness, empty if absent.
        parameters: values without quotes by lower-case name; the last of several counts.
    """

    name: str
    parameters: Mapping[str, str]


def parse_media_type(value: str) -> MediaType:
    """Parse a header value such as ``multipart/form-data; boundary="b"``. Never fails."""
    name, semicolon, _ = value.partition(";")
    name = name.strip(_SPACE).lower()
    if not semicolon:
        return MediaType(name, _NO_PARAMETERS)
    parameters = {}
    for parameter in _PARAMETER.findall(value):
        key, _, text = parameter.partition("=")
        parameters[key.strip(_SPACE).lower()] = _unquoted(text.strip(_SPACE))
    return MediaType(name, parameters)


def content_type_of(connection: HTTPConnection) -> MediaType:
    """Parse the Content-Type header: the first one if there are several, as Starlette reads it."""
    return parse_media_type(connection.headers.get("content-type", ""))


def list_of(connection: HTTPConnection, name: bytes) -> str:
    """Return a header that holds a list: the lines of that name joined by commas.

    Several lines are one list (RFC 9110, section 5.3). ``name`` is in lower case.
    """
    lines = [value for key, value in connection.scope["headers"] if key == name]
    return b",".join(lines).decode("latin-1")


def parse_preferences(header: str) -> list[tuple[str, bool]]:
    """Parse Accept, Accept-Encoding and the like: names, and whether each is acceptable.

    A name is unacceptable if its weight is zero; other weights, also malformed ones, accept it.
    Names are in lower case and in the order of the header.
    """
    entries = [parse_media_type(entry) for entry in elements_of(header)]
    return [
        (entry.name, not _ZERO.fullmatch(entry.parameters.get("q", "1")))
        for entry in entries
        if entry.name
    ]


def elements_of(header: str) -> list[str]:
    """Return the elements of a list in their order; a comma in quotes separates none."""
    return [element.strip(_SPACE) for element in _ELEMENT.findall(header)]


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", text[1:-1])
    return text
