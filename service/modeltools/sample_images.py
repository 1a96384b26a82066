"""Images that a user has at hand, to calibrate and to judge a model with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class SampleImage:
    """A file, and the index of its label if the folder that it lies in is called like one."""

    file: Path
    label: int | None


def find_images(folder: Path, labels: Sequence[str]) -> list[SampleImage]:
    """The images below a folder, in an order that is random and always the same.

    Folders may be called like labels, with ``_`` or ``-`` for spaces and in any case.
    """
    known = {plain_label(label): index for index, label in enumerate(labels)}
    found = [
        SampleImage(file, known.get(plain_label(file.parent.name)))
        for file in sorted(_files(folder))
    ]
    random.Random(0).shuffle(found)  # noqa: S311 - a sample, not a secret
    return found


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)


def plain_label(name: str) -> str:
    """A label as it is compared: in any case, with ``_`` and ``-`` for spaces."""
    return name.casefold().replace("_", " ").replace("-", " ")
