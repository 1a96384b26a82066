"""Content negotiation (RFC 9110, section 12): we answer JSON or refuse."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from schemas.errors import NotAcceptable

_JSON_RANGES = {"*/*", "application/*", "application/json", "application/problem+json"}


def require_json(connection: HTTPConnection) -> None:
    """Raises ``NotAcceptable`` if the Accept header rules JSON out."""
    for name, value in connection.scope["headers"]:
        if name == b"accept" and value != b"*/*" and not _takes_json(value.decode("latin-1")):
            raise NotAcceptable


def _takes_json(accept: str) -> bool:
    ranges = [entry.partition(";") for entry in accept.lower().split(",")]
    return any(
        media_range.strip() in _JSON_RANGES and not _is_zero(parameters)
        for media_range, _, parameters in ranges
    )


def _is_zero(parameters: str) -> bool:
    """Whether the weight is ``q=0``: not acceptable."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            return value.strip("0.") == "" and value.startswith("0")
    return False
