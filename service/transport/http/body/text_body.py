"""Bodies that hold one text, or several: JSON ``{"text": ...}`` or ``{"texts": [...]}``."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request

from schemas.errors import InvalidParameter, PayloadTooLarge, UnsupportedMediaType
from schemas.preprocess.text import TextBody
from service.transport.budget import Reservation
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import offload_if_large, uploads_of
from service.transport.http.middleware.errors import violations_of
from service.transport.http.middleware.media_type import content_type_of


async def read_texts(request: Request, hold: Reservation, most: int) -> TextBody:
    """Read the texts of a request.

    Args:
        most: texts in one request.

    Raises:
        UnsupportedMediaType: the body is not declared as JSON.
        InvalidParameter: the body is not JSON, or holds no texts, or half a surrogate pair.
        PayloadTooLarge: there are too many texts, or the body is too large.
        UploadTimeout, Overloaded: see ``BodyReader.read``.
    """
    if content_type_of(request).name != "application/json":
        message = 'Send the text as application/json: {"text": "..."} or {"texts": ["...", ...]}.'
        raise UnsupportedMediaType(message)
    uploads = uploads_of(request)
    data = await uploads.reader.read(request, hold, uploads.limits.max_body_bytes)
    body = await offload_if_large(request, len(data), lambda: _parsed(data))
    if (count := len(body.all)) > most:
        raise PayloadTooLarge(f"At most {most} texts are taken in one request, not {count}.")
    return body


def _parsed(data: bytes) -> TextBody:
    try:
        return TextBody.model_validate_json(without_mark(data))
    except ValidationError as error:
        raise InvalidParameter(violations=violations_of(error, "/body")) from None
