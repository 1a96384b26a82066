"""Text messages of a client: JSON objects with a ``type``."""

from __future__ import annotations

from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.classify import ClassifyOptions
from schemas.errors import InvalidParameter, InvalidRequest, PayloadTooLarge, Violation
from service.transport.http.middleware.errors import violations_of

MAX_TEXT_CHARS = 32 * 2**10
"""Of one message; the longest holds a token."""
MAX_WINDOW = 100
_POINTER = "/message"


class StreamOptions(ClassifyOptions):
    """Options of a stream: those of a classification, and two of its own."""

    mode: Literal["all", "latest"] = Field(
        default="all", description="Answer every frame, or drop those that are out of date."
    )
    smooth: int = Field(
        default=1,
        ge=1,
        le=MAX_WINDOW,
        description="Number of frames that the smoothed summary averages; 1 for no smoothing.",
    )

    def changed_by(self, others: StreamOptions) -> StreamOptions:
        """Return these options with those that the client has set in ``others``."""
        return self.model_copy(update={k: getattr(others, k) for k in others.model_fields_set})


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hello(_Message):
    """First message: credentials, options, and the session to resume."""

    type: Literal["hello"]
    token: str | None = Field(default=None, min_length=1, repr=False)
    resume: str | None = Field(default=None, max_length=64)
    options: StreamOptions = StreamOptions()


class ChangeOptions(_Message):
    """Change of options, for frames that come after it."""

    type: Literal["options"]
    options: StreamOptions


class RenewToken(_Message):
    """New token of the same principal."""

    type: Literal["token"]
    token: str = Field(min_length=1, repr=False)


class Ping(_Message):
    """Sign of life, for clients that cannot send WebSocket pings, such as browsers."""

    type: Literal["ping"]
    id: int | str | None = Field(default=None)


ClientMessage = Hello | ChangeOptions | RenewToken | Ping
_KINDS: dict[object, type[ClientMessage]] = {
    "hello": Hello,
    "options": ChangeOptions,
    "token": RenewToken,
    "ping": Ping,
}


def parse_message(text: str) -> ClientMessage:
    """Parse a text message.

    Raises:
        PayloadTooLarge: it is too long.
        InvalidRequest: it is not a JSON object.
        InvalidParameter: its type is unknown, or a member is not valid.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise PayloadTooLarge(f"A text message may have {MAX_TEXT_CHARS} characters.")
    try:
        found = orjson.loads(text)
    except ValueError:
        raise InvalidRequest("A text message is a JSON object.") from None
    if not isinstance(found, dict):
        raise InvalidRequest("A text message is a JSON object.")
    name = found.get("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(map(str, _KINDS))
        raise InvalidParameter(violations=(Violation(f"{_POINTER}/type", f"One of {known}"),))
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, _POINTER)) from None
