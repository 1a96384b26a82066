"""Labelled images given by the user, to calibrate and to evaluate a model."""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from schemas.operator_error import OperatorError
from service.modeltools.measuring.label_names import LabelNames

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
FILE_COLUMN, LABEL_COLUMN = "file", "label"
ALTERNATIVES = "|"
_TOLD = 5


class CannotReadImages(OperatorError):
    """The list of images cannot be read. The message is for people."""


@dataclass(frozen=True, slots=True)
class SampleImage:
    """An image file and its stated content.

    ``label`` is the index of the first label among the names, None if they are unknown or groups
    only; ``names`` are alternative labels and groups in the manifest's spelling; empty if unknown.
    """

    file: Path
    label: int | None
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The first of the names; None if there are none."""
        return self.names[0] if self.names else None


@dataclass(frozen=True, slots=True)
class Found:
    """The images found, including those without a known label.

    ``unknown`` counts the images by labels that the model does not have; ``unreadable`` gives the
    reason for each row of a list that names no image.
    """

    images: list[SampleImage]
    unknown: Counter[str]
    unreadable: list[str] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """Return warnings about the images, a line each; unknown labels by frequency."""
        lines = self.unreadable[:_TOLD]
        if more := len(self.unreadable) - _TOLD:
            lines += [f"{more} more rows cannot be used"] * (more > 0)
        if self.unknown:
            shown = [f"'{name}' ({count})" for name, count in self.unknown.most_common(_TOLD)]
            dots = ", ..." if len(self.unknown) > _TOLD else ""
            lines.append(
                f"{self.unknown.total()} images have labels that the model does not know: "
                f"{', '.join(shown)}{dots}"
            )
        return lines


def find_images(source: Path, names: LabelNames) -> Found:
    """Find the images of a folder or of a list, in a fixed random order.

    Args:
        source: a folder, whose folders may be named after labels; or a CSV file with the columns
            ``file`` (relative to it) and ``label``. A label may be several names separated by
            ``|``, any of which is right; names that the model does not know are ignored.
        names: names of labels, synonyms and groups.

    Raises:
        CannotReadImages: the list cannot be read, or lacks a column.
    """
    unreadable: list[str] = []
    named = _of_folder(source) if source.is_dir() else _of_list(source, unreadable)
    images: list[SampleImage] = []
    unknown: Counter[str] = Counter()
    for file, text in named:
        label, known = _meaning(text, names)
        if text and not known:
            unknown[text] += 1
        images.append(SampleImage(file, label, known))
    random.Random(0).shuffle(images)  # noqa: S311 - a sample, not a secret
    return Found(images, unknown, unreadable)


def _meaning(text: str, names: LabelNames) -> tuple[int | None, tuple[str, ...]]:
    """Return the index of the first label, and the names of all labels and groups."""
    # A label may contain the separator itself.
    texts = [text] if names.resolve(text)[1] is not None else text.split(ALTERNATIVES)
    meant = [(label, name) for label, name in map(names.resolve, texts) if name is not None]
    first = next((label for label, _ in meant if label is not None), None)
    return first, tuple(dict.fromkeys(name for _, name in meant))


def _of_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield files and the names of their folders; empty for files directly in ``folder``."""
    for file in sorted(_files(folder, set())):
        yield file, "" if file.parent == folder else file.parent.name


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Yield the images below a folder, following links; each folder once, so that loops end."""
    facts = folder.stat()
    if (facts.st_dev, facts.st_ino) in seen:
        return
    seen.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        # Linked folders come last: an image reachable both ways keeps the name of its own folder.
        inside = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
    for entry in inside:
        if entry.is_dir():
            yield from _files(folder / entry.name, seen)
        elif entry.is_file() and Path(entry.name).suffix.lower() in SUFFIXES:
            yield folder / entry.name


def _of_list(source: Path, unreadable: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield files and labels of the usable rows; add the others to ``unreadable``."""
    seen: set[Path] = set()
    try:
        with source.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            columns = [(column or "").strip().casefold() for column in rows.fieldnames or ()]
            if not {FILE_COLUMN, LABEL_COLUMN} <= set(columns):
                message = f"{source} must begin with the line '{FILE_COLUMN},{LABEL_COLUMN}'"
                raise CannotReadImages(message)
            rows.fieldnames = columns
            for row in rows:
                text = (row[FILE_COLUMN] or "").strip()
                file = source.parent / text
                if fault := _fault(text, file, seen):
                    unreadable.append(f"{source.name}, line {rows.line_num}: {fault}")
                    continue
                seen.add(file)
                yield file, (row[LABEL_COLUMN] or "").strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CannotReadImages(f"{source} cannot be read as CSV (UTF-8): {error}") from error


def _fault(text: str, file: Path, seen: set[Path]) -> str:
    """Return why a row's file cannot be used; empty if it can."""
    if not text:
        return "no file is named"
    if file in seen:
        return f"'{text}' is listed already"
    if file.suffix.lower() not in SUFFIXES:
        return f"'{text}' is not called like an image"
    try:
        return "" if file.is_file() else f"there is no file '{text}'"
    except (OSError, ValueError):  # the name is too long or has a NUL
        return f"'{text[:100]}' is no name of a file"
