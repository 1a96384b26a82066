"""Datasets and photos as the store has them; no database and no network."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.teach.dataset import (
    ClassCount,
    Dataset,
    DatasetKind,
    Photo,
    PhotoSource,
    ServedAnswer,
)

_MILLISECONDS_CHARS, _RANDOM_CHARS = 11, 9


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A dataset. ``created``: seconds since the epoch; ``classes``: in order, no two alike."""

    name: str
    kind: DatasetKind
    classes: tuple[str, ...]
    created: float
    created_by: str
    max_photos: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """A photo. Times in seconds since the epoch.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
        hash64: perceptual hash, 64 bits; None: not computed.
        captured: when it was taken; None: unknown.
        group: as given; None: see ``grouping.py``.
        labels: class names, sorted; None: not labelled. Empty: none of the classes is in it.
    """

    id: str
    dataset: str
    digest: str
    hash64: int | None
    width: int
    height: int
    bytes: int
    added: float
    added_by: str
    source: PhotoSource
    captured: float | None = None
    group: str | None = None
    labels: tuple[str, ...] | None = None
    labelled_by: str | None = None
    labelled: float | None = None
    answer: ServedAnswer | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a dataset. ``by_class``: photos with each label; absent: none."""

    photos: int
    labelled: int
    bytes: int
    by_class: dict[str, int]


class PhotoIds:
    """Makes ids of rows: each sorts after the ones that this process made before."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock``: seconds since the epoch."""
        self._clock, self._last, self._lock = clock, 0, threading.Lock()

    def __call__(self) -> str:
        """Return a new id: 20 hexadecimal digits."""
        with self._lock:
            self._last = max(self._last + 1, int(self._clock() * 1000))
            number = self._last
        random = secrets.randbits(4 * _RANDOM_CHARS)
        return f"{number:0{_MILLISECONDS_CHARS}x}{random:0{_RANDOM_CHARS}x}"


def shown_dataset(dataset: StoredDataset, contents: Contents) -> Dataset:
    """Return a dataset as callers see it."""
    return Dataset(
        name=dataset.name,
        kind=dataset.kind,
        classes=[
            ClassCount(name=name, photos=contents.by_class.get(name, 0)) for name in dataset.classes
        ],
        photos=contents.photos,
        labelled=contents.labelled,
        bytes=contents.bytes,
        max_photos=dataset.max_photos,
        max_bytes=dataset.max_bytes,
        created=_time(dataset.created),
        created_by=dataset.created_by,
    )


def shown_photo(photo: StoredPhoto) -> Photo:
    """Return a photo as callers see it."""
    return Photo(
        id=photo.id,
        dataset=photo.dataset,
        digest=photo.digest,
        width=photo.width,
        height=photo.height,
        bytes=photo.bytes,
        added=_time(photo.added),
        added_by=photo.added_by,
        source=photo.source,
        captured=None if photo.captured is None else _time(photo.captured),
        group=photo.group,
        labels=None if photo.labels is None else list(photo.labels),
        labelled=None if photo.labelled is None else _time(photo.labelled),
        labelled_by=photo.labelled_by,
        answer=photo.answer,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
