"""Paths of exported photos: a folder for each class, and a name from the content."""

from __future__ import annotations

import re

from service.teach.datasets.importing.folders import UNLABELLED
from service.teach.datasets.records import StoredPhoto

_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
SEVERAL = "_several"
"""Folder of photos with several labels, or with none of the classes; labels.csv has them."""
_DIGEST_CHARS = 16
_TYPES = (
    (b"\xff\xd8\xff", "jpg", "image/jpeg"),
    (b"\x89PNG", "png", "image/png"),
    (b"GIF8", "gif", "image/gif"),
    (b"BM", "bmp", "image/bmp"),
    (b"II*\0", "tif", "image/tiff"),
    (b"MM\0*", "tif", "image/tiff"),
)
HEAD_BYTES = 12


def extension_of(head: bytes) -> str:
    """Return the extension of a photo by its first ``HEAD_BYTES`` bytes."""
    return _type_of(head)[0]


def media_type_of(head: bytes) -> str:
    """Return the media type of a photo by its first ``HEAD_BYTES`` bytes."""
    return _type_of(head)[1]


def path_of(photo: StoredPhoto, head: bytes) -> str:
    """Return where an export has a photo, with slashes; ``head``: its first bytes."""
    return f"{_folder(photo)}/{photo.digest[:_DIGEST_CHARS]}.{extension_of(head)}"


def _folder(photo: StoredPhoto) -> str:
    if photo.labels is None:
        return UNLABELLED
    if len(photo.labels) != 1:
        return SEVERAL
    name = _UNSAFE.sub("_", photo.labels[0]).strip(" .")
    # Neither hidden nor one of our own folders.
    return f"class{name}" if not name or name.startswith(("_", ".")) else name


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
