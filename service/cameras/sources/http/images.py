"""Checks of frames by their bytes: a camera's Content-Type is often wrong."""

from __future__ import annotations

from schemas.cameras import CameraFailure
from service.cameras.sources.source import SourceFailed
from service.core.imaging.formats.signatures import recognise

_END_OF_JPEG = b"\xff\xd9"
_PADDING = 1024
"""Bytes that a camera may send behind the end of a JPEG."""


def check_image(data: bytes) -> None:
    """Check that the bytes are a JPEG, PNG or another image by their signature.

    Raises:
        SourceFailed: ``not_an_image``, saying what it is instead.
    """
    if not data:
        raise SourceFailed(CameraFailure.NOT_AN_IMAGE, "The camera's answer is empty")
    if recognise(data) is not None:
        return
    beginning = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if beginning.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        what = "The camera answers with a web page (perhaps its sign-in page)"
    elif beginning.startswith(b"<"):
        what = "The camera answers with XML"
    elif beginning.startswith((b"{", b"[")):
        what = "The camera answers with JSON"
    elif beginning.startswith((b"#extm3u", b"#ext")):
        what = "The camera answers with an HLS playlist, which is not supported"
    elif beginning.startswith(b"\x1f\x8b"):
        what = "The camera's answer is compressed, which was not asked for"
    else:
        what = "The camera's answer is no image of a known format"
    raise SourceFailed(CameraFailure.NOT_AN_IMAGE, what)


def check_is_whole(data: bytes) -> None:
    """Check that a JPEG whose length was not announced has its end.

    Raises:
        SourceFailed: ``ended``.
    """
    if data.startswith(b"\xff\xd8") and _END_OF_JPEG not in data[-_PADDING:]:
        message = "The camera closed the connection in the middle of an image"
        raise SourceFailed(CameraFailure.ENDED, message)
