"""Labelled photos of a folder, or a list beside them, where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import CallerError
from schemas.operator_error import OperatorError
from schemas.teach.dataset import DatasetKind, PhotoSource
from schemas.teach.run import SkippedPhoto
from service.core.imaging.decoding import open_image
from service.core.imaging.image_limits import ImageLimits
from service.teach.datasets.importing.listing import Found, Refused
from service.teach.datasets.importing.reading import ImportLimits, open_source
from service.teach.datasets.labelling import BadLabels, ClassResolver
from service.teach.datasets.photos.exif import capture_time
from service.teach.datasets.records import StoredDataset, StoredPhoto
from service.teach.datasets.store.files import digest_of

_UNBOUNDED = 2**62


class NotPhotos(OperatorError):
    """The path is no folder or list of photos. For the operator."""


@dataclass(frozen=True, slots=True)
class LocalPhotos:
    """Photos in a folder.

    Attributes:
        dataset: with the classes that were found, in order of their names.
        photos: labelled ones; their ids are their names below the folder.
        files: paths by id.
        skipped: files that are left out, and why.
    """

    dataset: StoredDataset
    photos: tuple[StoredPhoto, ...]
    files: dict[str, Path]
    skipped: tuple[SkippedPhoto, ...]


def read_folder(
    path: Path, limits: ImageLimits, *, is_multi: bool = False, max_files: int
) -> LocalPhotos:
    """Read which photos a folder has, and when they were taken. Blocks.

    A photo that cannot be decoded is left in: a run says so.

    Args:
        path: a folder with a folder for each class; or a ``.csv`` or ``.json`` list beside photos.

    Raises:
        NotPhotos: it is something else.
        CallerError: a list is malformed, or there are too many files.
    """
    if path.is_file() and path.suffix.casefold() not in {".csv", ".json"}:
        message = f"{path} is an archive: import it first, with 'potoo datasets import'"
        raise NotPhotos(message)
    root = path if path.is_dir() else path.parent
    kind = DatasetKind.MULTI if is_multi else DatasetKind.SINGLE
    name = path.resolve().stem
    resolver = ClassResolver(StoredDataset(name, kind, (), 0.0, "", 0, 0))
    photos: dict[str, StoredPhoto] = {}
    files: dict[str, Path] = {}
    skipped: list[SkippedPhoto] = []
    with open_source(path, ImportLimits(max_files, _UNBOUNDED)) as source:
        for entry in source.listing.entries:
            if isinstance(entry, Refused):
                skipped.append(SkippedPhoto(photo=entry.name, reason=entry.error.detail))
            elif entry.file is not None and entry.labels is not None:
                try:
                    labels = resolver.labels(entry.labels) or ()
                except BadLabels as error:
                    skipped.append(SkippedPhoto(photo=entry.name, reason=f"{error}."))
                    continue
                file = root / entry.file
                photo = _photo(name, entry, file, labels, limits)
                first = photos.setdefault(photo.digest, photo)
                if first is photo:
                    files[photo.id] = file
                elif first.labels != labels:
                    reason = f"It is the same photo as {first.id}, with another label."
                    skipped.append(SkippedPhoto(photo=photo.id, reason=reason))
    dataset = StoredDataset(name, kind, tuple(sorted(resolver.new)), 0.0, "", 0, 0)
    return LocalPhotos(dataset, tuple(photos.values()), files, tuple(skipped))


def foreign_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, but hidden ones."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path


def foreign_photo(file: Path) -> StoredPhoto:
    """Return a file as a photo of no class."""
    entry = Found(str(file), str(file))
    return _as_photo("", entry, file.read_bytes(), (), None)


def _photo(
    dataset: str, entry: Found, file: Path, labels: tuple[str, ...], limits: ImageLimits
) -> StoredPhoto:
    data = file.read_bytes()
    captured = entry.captured
    if captured is None:
        with suppress(CallerError), open_image(data, limits) as opened:
            exif = opened.source.exif or opened.file.info.get("exif") or b""
            captured = capture_time(exif)
    return _as_photo(dataset, entry, data, labels, captured)


def _as_photo(
    dataset: str, entry: Found, data: bytes, labels: tuple[str, ...], captured: float | None
) -> StoredPhoto:
    return StoredPhoto(
        id=entry.name,
        dataset=dataset,
        digest=digest_of(data),
        hash64=None,
        width=0,
        height=0,
        bytes=len(data),
        added=0.0,
        added_by="",
        source=PhotoSource.UPLOAD,
        captured=captured,
        group=entry.group,
        labels=labels,
    )
