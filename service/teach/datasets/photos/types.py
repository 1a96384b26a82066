"""Extension and media type of a photo, by its first bytes."""

from __future__ import annotations

HEAD_BYTES = 12
_TYPES = (
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"\x89PNG", "png", "image/png"),
    (b"GIF8", "gif", "image/gif"),
    (b"BM", "bmp", "image/bmp"),
    (b"II*\0", "tif", "image/tiff"),
    (b"MM\0*", "tif", "image/tiff"),
)


def extension_of(head: bytes) -> str:
    """Return the extension of a photo by its first ``HEAD_BYTES`` bytes."""
    return _type_of(head)[0]


def media_type_of(head: bytes) -> str:
    """Return the media type of a photo by its first ``HEAD_BYTES`` bytes."""
    return _type_of(head)[1]


def _type_of(head: bytes) -> tuple[str, str]:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp", "image/webp"
    if head[4:8] == b"ftyp":
        is_avif = head[8:12] in {b"avif", b"avis"}
        return ("avif", "image/avif") if is_avif else ("heic", "image/heic")
    for begin, extension, media_type in _TYPES:
        if head.startswith(begin):
            return extension, media_type
    return "bin", "application/octet-stream"
