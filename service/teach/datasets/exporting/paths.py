"""Paths of exported photos: a folder for each class, and a name from the content."""

from __future__ import annotations

import re

from service.teach.datasets.importing.folders import UNLABELLED
from service.teach.datasets.photos.types import extension_of
from service.teach.datasets.records import StoredPhoto

_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
SEVERAL = "_several"
"""Folder of photos with several labels, or with none of the classes; labels.csv has them."""
_DIGEST_CHARS = 16


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
