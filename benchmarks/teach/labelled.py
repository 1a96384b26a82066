"""Labelled photos of a folder as features of a base model."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from service.modeltools.sources.built_in import put
from service.teach.features.extraction import Extractor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Photos with one label each.

    Attributes:
        features_NVD: float32 [N photos, V views, D].
        labels_N: class of each photo.
        classes: names, sorted.
    """

    features_NVD: NDArray[np.float32]
    labels_N: NDArray[np.int_]
    classes: tuple[str, ...]

    def at(self, rows: NDArray[np.int_]) -> Labelled:
        """Return some of the photos."""
        return Labelled(self.features_NVD[rows], self.labels_N[rows], self.classes)

    def of_classes(self, chosen: tuple[int, ...]) -> Labelled:
        """Return the photos of some classes, renumbered."""
        rows = np.flatnonzero(np.isin(self.labels_N, chosen))
        labels_N = np.searchsorted(np.array(chosen), self.labels_N[rows])
        return Labelled(
            self.features_NVD[rows], labels_N, tuple(self.classes[place] for place in chosen)
        )


def load(data: Path, base: str = "imagenet", cache: Path | None = None) -> Labelled:
    """Compute the features of the photos below a folder, or read them from a cache.

    Args:
        data: a folder for each class, at any depth, or tar files of such folders; or a tar file.
        base: name of a built-in model.
        cache: an ``.npz`` file that is read if it exists, and else written.
    """
    if cache is None or not cache.exists():
        found, labels = _extract(data, base)
        if cache is None:
            return _labelled(found, labels)
        np.savez(cache, features=found, labels=labels)
    with np.load(cache) as stored:
        return _labelled(stored["features"], stored["labels"])


def _labelled(features_NVD: NDArray[np.float32], labels: NDArray[np.str_]) -> Labelled:
    classes, labels_N = np.unique(labels, return_inverse=True)
    return Labelled(features_NVD, labels_N.reshape(-1), tuple(str(name) for name in classes))


def _extract(data: Path, base: str) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    features: list[NDArray[np.float32]] = []
    labels: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        put(base, Path(name), print, print)
        extractor = Extractor(Path(name) / base / "1")
        for label, image in _photos(data):
            try:
                features.append(extractor.features(image))
            except ServiceError as error:
                print(f"left out: {error}")
            else:
                labels.append(label)
    return np.stack(features), np.array(labels)


def _photos(data: Path) -> Iterator[tuple[str, bytes]]:
    for path in [data] if data.is_file() else sorted(data.rglob("*")):
        if {".tar", ".tgz"} & set(path.suffixes):
            with tarfile.open(path) as archive:
                for member in archive:
                    place = Path(member.name)
                    file = archive.extractfile(member)
                    if file is not None and place.suffix.lower() in SUFFIXES:
                        yield place.parent.name, file.read()
        elif path.suffix.lower() in SUFFIXES:
            yield path.parent.name, path.read_bytes()
