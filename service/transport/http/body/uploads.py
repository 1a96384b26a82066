"""The three forms of an upload: raw bytes, a multipart field, base64 in JSON."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn, TypeVar, cast

from pydantic import ValidationError
from starlette.requests import Request

from schemas.classify import EncodedImage
from schemas.errors import (
    InvalidImage,
    InvalidParameter,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
    Violation,
)
from service.settings import LimitSettings
from service.transport.app_state import AppState, state_of
from service.transport.budget import Reservation
from service.transport.dependencies import runtime_of
from service.transport.http.body.base64_text import decoded
from service.transport.http.body.body import BodyReader
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.multipart import Part, parse_form
from service.transport.http.middleware.errors import escaped, violations_of
from service.transport.http.middleware.media_type import MediaType, parse_media_type
from service.transport.open_streams import OpenStreams

Found = TypeVar("Found")
IMAGE_FIELDS = ("file", "image")
BATCH_FIELD = "files"
INLINE_BYTES = 256 * 2**10
"""Longer bodies are parsed on another thread."""
BASE64_SHARE = 4 / 3
MAX_OTHER_CHARS = 256
"""Limit of braces, quotes, commas and the like in a JSON upload, which needs about twenty."""
MAX_KEPT_CHARS, TYPES_KEPT = 64, 64
_NO_TYPE = parse_media_type("")
_BASE64_IN_JSON = (string.ascii_letters + string.digits + "+/=-_\\ \t\r\n").encode()


class Uploads:
    """Reader of the image or images of a request."""

    def __init__(self, reader: BodyReader, limits: LimitSettings) -> None:
        self.reader, self.limits = reader, limits

    @property
    def hold(self) -> Reservation:
        """Budget share of one request; enter it for as long as its bytes are in use."""
        return self.reader.budget.hold()

    async def image(self, request: Request, hold: Reservation) -> bytes:
        """Read the one image of a request, still encoded.

        Raises:
            UnsupportedMediaType: the body is not in one of the three forms.
            InvalidRequest, InvalidParameter: no image, several, or other fields beside it.
            InvalidImage: the image has no bytes.
            PayloadTooLarge, UploadTimeout, Overloaded: see ``BodyReader.read``.
        """
        limit = self.limits.max_body_bytes
        content_type = _content_type(request)
        kind = content_type.name
        if kind.startswith("image/") or kind == "application/octet-stream":
            return _not_empty(await self.reader.read(request, hold, limit), "/body")
        if kind == "multipart/form-data":
            # The limit is for the image; boundary and part headers come on top.
            body = await self.reader.read(request, hold, limit + 4096)
            parts = self._parts(content_type, body, max_parts=8)
            return _within(_only(parts), limit)
        if kind == "application/json":
            body = await self.reader.read(request, hold, int(limit * BASE64_SHARE) + 4096)
            image = await offload_if_large(request, len(body), lambda: _from_json(body))
            return _within(image, limit)
        message = (
            "Send the image itself as image/* or application/octet-stream, as the field 'file' of "
            'multipart/form-data, or as application/json {"image": "<base64>"}.'
        )
        raise UnsupportedMediaType(message)

    async def images(self, request: Request, hold: Reservation) -> list[Part]:
        """Read the ``files`` of a multipart form in order; at least one.

        Raises:
            UnsupportedMediaType: the body is not multipart.
            InvalidRequest, InvalidParameter: no files, or other fields beside them.
            PayloadTooLarge: too many or too large; UploadTimeout, Overloaded: see ``BodyReader``.
        """
        content_type = _content_type(request)
        if content_type.name != "multipart/form-data":
            message = f"Send the images as multipart/form-data, each in a field '{BATCH_FIELD}'."
            raise UnsupportedMediaType(message)
        body = await self.reader.read(request, hold, self.limits.max_batch_bytes)
        parts = self._parts(content_type, body, max_parts=self.limits.max_batch_files)
        _refuse_others(parts, (BATCH_FIELD,))
        if not parts:
            _missing(BATCH_FIELD)
        return parts

    def _parts(self, content_type: MediaType, body: bytes, *, max_parts: int) -> list[Part]:
        return parse_form(
            content_type,
            body,
            max_parts=max_parts,
            max_file_name_chars=self.limits.max_file_name_chars,
        )


@dataclass(frozen=True, slots=True)
class HttpState(AppState):
    """Objects of the application, with those that its HTTP routes share.

    Attributes:
        uploads: the reader of uploads.
        event_streams: open streams of server-sent events.
    """

    uploads: Uploads
    event_streams: OpenStreams


def uploads_of(request: Request) -> Uploads:
    """Return the application's reader of uploads."""
    return cast("HttpState", state_of(request)).uploads


async def offload_if_large(request: Request, size: int, work: Callable[[], Found]) -> Found:
    """Run ``work``; on another thread if ``size`` is large, so that it does not delay others."""
    return work() if size <= INLINE_BYTES else await runtime_of(request).pool.run(work)


def _content_type(request: Request) -> MediaType:
    """Return the declared media type; several declarations contradict each other."""
    found: bytes | None = None
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            if found is not None:
                message = "More than one Content-Type header."
                raise InvalidRequest(message)
            found = value
    if not found:
        return _NO_TYPE
    is_bare = len(found) <= MAX_KEPT_CHARS and b";" not in found
    return _bare_type(found) if is_bare else parse_media_type(found.decode("latin-1"))


@lru_cache(TYPES_KEPT)
def _bare_type(value: bytes) -> MediaType:
    """Parse a media type without parameters: a caller sends the same with every image."""
    return parse_media_type(value.decode("latin-1"))


def _only(parts: list[Part]) -> bytes:
    _refuse_others(parts, IMAGE_FIELDS)
    if not parts:
        _missing(IMAGE_FIELDS[0])
    # Browsers and Swagger UI also send the form's other field when it is empty.
    parts = [part for part in parts if part.content] or parts[:1]
    if len(parts) > 1:
        message = "Send exactly one image; /v1/classify/batch takes many."
        raise InvalidParameter(violations=(Violation(f"/body/{escaped(parts[1].name)}", message),))
    return _not_empty(parts[0].content, f"/body/{escaped(parts[0].name)}")


def _refuse_others(parts: list[Part], allowed: tuple[str, ...]) -> None:
    for part in parts:
        if part.name not in allowed:
            message = f"There is no such field; the image goes into '{allowed[0]}'."
            raise InvalidParameter(violations=(Violation(f"/body/{escaped(part.name)}", message),))


def _missing(field: str) -> NoReturn:
    raise InvalidParameter(violations=(Violation(f"/body/{field}", "Field required"),))


def _not_empty(image: bytes, pointer: str) -> bytes:
    if not image:
        message = "The image has no bytes."
        raise InvalidImage(message, violations=(Violation(pointer, message),))
    return image


def _within(image: bytes, limit: int) -> bytes:
    if len(image) > limit:
        message = f"The image is larger than the {limit / 2**20:.3g} MiB that are taken."
        raise PayloadTooLarge(message)
    return image


def _from_json(body: bytes) -> bytes:
    """Return the image of ``{"image": "<base64 or data URL>"}``."""
    body = without_mark(body)
    # A million members would be parsed into gigabytes, and each would have its own error.
    if len(body.translate(None, _BASE64_IN_JSON)) > MAX_OTHER_CHARS:
        fault = Violation("/body", 'The body must be {"image": "<base64>"} and nothing else')
        raise InvalidParameter(violations=(fault,))
    try:
        text = EncodedImage.model_validate_json(body).image
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, "/body")) from None
    try:
        image = decoded(text)
    except ValueError as error:
        raise InvalidParameter(violations=(Violation("/body/image", str(error)),)) from None
    return _not_empty(image, "/body/image")
