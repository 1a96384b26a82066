"""Labelled photos from one tar file per split (``<split>/<class>/<file>``)."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image


@dataclass(frozen=True, slots=True)
class Photo:
    """One encoded photo and the index of its class in the recipe's label list."""

    name: str
    encoded: bytes
    label: int

    def decode(self) -> Image.Image:
        """The photo as an RGB image, at its own size."""
        with Image.open(io.BytesIO(self.encoded)) as image:
            return image.convert("RGB")


def class_names(archive: Path) -> list[str]:
    """The class folders of a split, sorted: the order of the label indices."""
    with tarfile.open(archive) as tar:
        return sorted({PurePosixPath(member.name).parts[1] for member in tar if member.isfile()})


def read_split(archive: Path, classes: list[str]) -> list[Photo]:
    """Every photo of ``archive`` whose class is one of ``classes``, ordered by name.

    Classes that are not listed are left out on purpose (portraits of people, for example).
    """
    index = {name: position for position, name in enumerate(classes)}
    photos = []
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None and parts[1] in index:
                photos.append(Photo("/".join(parts[1:]), file.read(), index[parts[1]]))
    return sorted(photos, key=lambda photo: photo.name)
