"""Images that a user has at hand, with their labels: to calibrate and to judge a model with."""

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
    """The list of images cannot be read at all. The message is for people."""


@dataclass(frozen=True, slots=True)
class SampleImage:
    """A file, and what is said to be in it.

    ``label`` is the index of the first label that is named, None if none is known or groups alone
    are named; ``names`` are the labels and groups as the manifest spells them, any of which may be
    in the image; empty if nothing is known.
    """

    file: Path
    label: int | None
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str | None:
        """The first of the names; None if nothing is known."""
        return self.names[0] if self.names else None


@dataclass(frozen=True, slots=True)
class Found:
    """The images there are, also those without a known label.

    ``unknown`` counts the images by labels that the model does not have; ``unreadable`` says of
    each row of a list that names no image why.
    """

    images: list[SampleImage]
    unknown: Counter[str]
    unreadable: list[str] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """What whoever gave the images should know, a line each; the most frequent first."""
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
    """Finds the images of a folder or of a list, in an order that is random and always the same.

    Args:
        source: a folder, whose folders may be called like labels; or a CSV file with the columns
            ``file`` (relative to it) and ``label``. A label may be several names with ``|`` between
            them, any of which is right; those that the model does not know are passed over.
        names: what labels, synonyms and groups are called.

    Raises:
        CannotReadImages: the list cannot be read, or has other columns.
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
    """The index of the first label, and the names of all labels and groups."""
    # A label may hold the character itself.
    texts = [text] if names.resolve(text)[1] is not None else text.split(ALTERNATIVES)
    meant = [(label, name) for label, name in map(names.resolve, texts) if name is not None]
    first = next((label for label, _ in meant if label is not None), None)
    return first, tuple(dict.fromkeys(name for _, name in meant))


def _of_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files and the names of their folders; an empty one for those in the outermost."""
    for file in sorted(_files(folder, set())):
        yield file, "" if file.parent == folder else file.parent.name


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """The images below a folder, links followed; every folder once, so that loops end."""
    facts = folder.stat()
    if (facts.st_dev, facts.st_ino) in seen:
        return
    seen.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        # Linked folders come last: what can be reached by both keeps the name of its own folder.
        inside = sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
    for entry in inside:
        if entry.is_dir():
            yield from _files(folder / entry.name, seen)
        elif entry.is_file() and Path(entry.name).suffix.lower() in SUFFIXES:
            yield folder / entry.name


def _of_list(source: Path, unreadable: list[str]) -> Iterator[tuple[Path, str]]:
    """Files and labels of the rows that can be used; the others are told in ``unreadable``."""
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
    """Why a row's file cannot be used; empty if it can."""
    if not text:
        return "no file is named"
    if file in seen:
        return f"'{text}' is listed already"
    if file.suffix.lower() not in SUFFIXES:
        return f"'{text}' is not called like an image"
    try:
        return "" if file.is_file() else f"there is no file '{text}'"
    except (OSError, ValueError):  # too long a name, a NUL
        return f"'{text[:100]}' is no name of a file"
