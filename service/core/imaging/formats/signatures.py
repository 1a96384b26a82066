"""Recognition of image formats by their first bytes; file names are not considered."""

from __future__ import annotations

from schemas.errors import InvalidImage, UnsupportedImage
from service.core.imaging.formats import heif

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
# Unsupported formats that the error message names.
REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"8BPS", "PSD"),
    (b"%PDF-", "PDF"),
)


def recognise(data: bytes) -> str | None:
    """Return the name of the image format, supported or not; None if it is unknown."""
    for signature, name in SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for signature, name in REFUSED:
        if data.startswith(signature):
            return name
    return heif.recognise(data)


def sniff(data: bytes) -> str:
    """Return the name of the image format.

    Raises:
        InvalidImage: there are no bytes.
        UnsupportedImage: the format is not supported; the message names it if it is known.
    """
    if not data:
        raise InvalidImage("The image has no bytes.")
    name = recognise(data)
    if name is None:
        raise UnsupportedImage
    if name in heif.NAMES:
        heif.check_installed(name)
    elif any(name == refused for _, refused in REFUSED):
        raise UnsupportedImage(f"This is {name}; send JPEG.")
    return name
