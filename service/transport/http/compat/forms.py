"""Extracts an image from a form: a multipart file, or base64 in a multipart or urlencoded field.

Urlencoded forms are not decoded by a general parser: a hostile form of a few megabytes would expand
to gigabytes of small strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_plus

from starlette.requests import Request

from schemas.errors import (
    InvalidImage,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
    Violation,
)
from service.core.imaging.formats.signatures import recognise
from service.transport.budget import Reservation
from service.transport.http.body.base64_text import decoded
from service.transport.http.body.multipart import parse_form
from service.transport.http.body.uploads import BASE64_SHARE, offload_if_large, uploads_of
from service.transport.http.middleware.errors import escaped
from service.transport.http.middleware.media_type import MediaType, content_type_of

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
MAX_PARTS = 8
_MAX_NAME_BYTES = 256
_ESCAPES = {
    escape: bytes([byte])
    for byte in b"+/=,:;\r\n "
    for escape in {b"%%%02X" % byte, b"%%%02x" % byte}
}
"""Characters that a data URL in base64 may contain."""


def is_form(request: Request) -> bool:
    """Return whether the content type is a multipart or urlencoded form."""
    return content_type_of(request).name in {MULTIPART, URLENCODED}


async def image_of_form(request: Request, hold: Reservation, fields: Sequence[str]) -> bytes:
    """Read the image of the first of ``fields`` that the form has; other fields are ignored.

    Raises:
        UnsupportedMediaType: the body is not a form.
        InvalidRequest: the field is missing, repeated or not base64.
        InvalidImage: the image has no bytes.
        PayloadTooLarge, UploadTimeout, Overloaded: see ``BodyReader.read``.
    """
    if not is_form(request):
        raise UnsupportedMediaType(f"Send the field '{fields[0]}' as {MULTIPART} or {URLENCODED}.")
    uploads = uploads_of(request)
    limit, most = uploads.limits.max_body_bytes, uploads.limits.max_file_name_chars
    # Base64 is longer than the image, and the form adds to it.
    body = await uploads.reader.read(request, hold, int(limit * BASE64_SHARE) + 4096)
    hold.reserve(3 * len(body))
    content_type = content_type_of(request)
    image = await offload_if_large(
        request,
        len(body),
        lambda: (
            image_in_parts(content_type, body, fields, max_file_name_chars=most)
            if content_type.name == MULTIPART
            else image_in_pairs(body, fields)
        ),
    )
    if not image:
        raise InvalidImage("The image has no bytes.")
    if len(image) > limit:
        message = f"The image is larger than the {limit / 2**20:.3g} MiB that are taken."
        raise PayloadTooLarge(message)
    return image


def image_in_parts(
    content_type: MediaType, body: bytes, fields: Sequence[str], *, max_file_name_chars: int
) -> bytes:
    """Read the image of a multipart form: a file, or base64 text.

    Raises:
        InvalidRequest, PayloadTooLarge: see ``image_of_form`` and ``parse_form``.
    """
    parts = parse_form(
        content_type, body, max_parts=MAX_PARTS, max_file_name_chars=max_file_name_chars
    )
    part = parts[_place([part.name for part in parts], fields)]
    if part.file_name is not None or _is_image(part.content):
        return part.content
    return _from_base64(part.content, part.name)


def image_in_pairs(body: bytes, fields: Sequence[str]) -> bytes:
    """Read the image of a urlencoded form: base64 text.

    Raises:
        InvalidRequest, PayloadTooLarge: see ``image_of_form``.
    """
    if _is_image(body):  # curl --data-binary declares any body as a form
        return body
    if body.count(b"&") >= MAX_PARTS:
        raise PayloadTooLarge(f"The form has more than {MAX_PARTS} fields.")
    pairs = body.split(b"&")
    place = _place([_name(pair) for pair in pairs], fields)
    value = pairs.pop(place).partition(b"=")[2]
    # Keep unescaped plus signs: base64 has no spaces.
    for escape, meant in _ESCAPES.items() if b"%" in value else ():
        value = value.replace(escape, meant)
    return _from_base64(value, fields[0])


def _name(pair: bytes) -> str:
    return unquote_plus(pair[:_MAX_NAME_BYTES].partition(b"=")[0].decode("latin-1"))


def _place(names: Sequence[str], fields: Sequence[str]) -> int:
    found = [place for place, name in enumerate(names) if name in fields]
    if not found:
        wanted = " or ".join(f"'{field}'" for field in fields)
        fault = Violation(f"/body/{escaped(fields[0])}", "Field required")
        raise InvalidRequest(f"The form has no field {wanted}.", violations=(fault,))
    if len(found) > 1:
        raise InvalidRequest("Send exactly one image.")
    return found[0]


def _is_image(data: bytes) -> bool:
    return recognise(data) is not None


def _from_base64(data: bytes, field: str) -> bytes:
    try:
        return decoded(data)
    except ValueError as error:
        fault = Violation(f"/body/{escaped(field)}", str(error))
        message = f"The field '{escaped(field)}' holds no image and no base64."
        raise InvalidRequest(message, violations=(fault,)) from None
