"""Features of the photos of a job: from the cache, or computed and cached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import CallerError, InferenceFailed
from schemas.teach.run import RunFailure, SkippedPhoto
from service.core.repository.publishing import DISK_FULL
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.teach.features.cache import FeatureCache
from service.teach.features.extraction import Extractor
from service.teach.features.penultimate import NoFeatures
from service.teach.runs.job import Job, JobPhoto, Message, Said
from service.teach.runs.problems import RunFailed

Found = NDArray[np.float32] | None
Say = Callable[[Message], None]
_MISSING_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Extracted:
    """Photos that have features, and these, float32 [N, V, D]."""

    photos: tuple[JobPhoto, ...]
    features_NVD: NDArray[np.float32]


class Extracting:
    """Computes features; keeps the last base open, since the next job most likely uses it."""

    def __init__(self, *, threads: int = 1) -> None:
        """``threads``: cores of one photo."""
        self._threads = threads
        self._opened: tuple[tuple[str, str, str | None], Extractor] | None = None

    def open(self, job: Job) -> Extractor:
        """Return the extractor of a job's base.

        Raises:
            RunFailed: the base is gone, is another one by now, or has no features.
        """
        key = (job.base, job.base_sha256, job.feature)
        if self._opened is not None and self._opened[0] == key and Path(job.base).is_dir():
            return self._opened[1]
        self._opened = None  # its memory is needed
        folder = Path(job.base)
        name = f"{folder.parent.name} {folder.name}"
        if not folder.is_dir():
            raise RunFailed(RunFailure.BASE_MISSING, f"The base {name} was removed.")
        try:
            if read_manifest(folder).sha256 != job.base_sha256:
                message = f"The base {name} was replaced since the run began: begin another run."
                raise RunFailed(RunFailure.BASE_CHANGED, message)
            extractor = Extractor(folder, job.feature, threads=self._threads)
        except ModelRefused as error:
            message = f"The base {name} cannot be used: {_without(folder, error)}."
            raise RunFailed(RunFailure.BASE_UNSUITABLE, message) from error
        except NoFeatures as error:
            message = f"The base {name} cannot be used: {error}"
            raise RunFailed(RunFailure.BASE_UNSUITABLE, message) from error
        self._opened = key, extractor
        return extractor

    def run(self, job: Job, photos: Sequence[JobPhoto], say: Say) -> Extracted:
        """Return the features of photos; those that cannot be read are said and left out.

        Raises:
            RunFailed: see ``open``; files are missing, the disk is full, or a base's numbers are
                not finite.
        """
        extractor, cache = self.open(job), FeatureCache(Path(job.cache))
        cache.use(extractor.digest)
        features_NVD = np.empty((len(photos), extractor.views, extractor.width), np.float32)
        kept: list[JobPhoto] = []
        missing: list[str] = []
        not_finite = 0
        say(Message(said=Said.PROGRESS, total=len(photos)))
        for number, photo in enumerate(photos, 1):
            found: NDArray[np.float32] | None = None
            try:
                found = _features(extractor, cache, photo)
            except FileNotFoundError:
                missing.append(photo.id)
            except CallerError as error:
                say(_skipped(photo, error.detail))
            except InferenceFailed:
                not_finite += 1
                say(_skipped(photo, "The base's numbers for it are not finite."))
            except OSError as error:
                if error.errno in DISK_FULL:
                    message = "The disk is full: features cannot be kept."
                    raise RunFailed(RunFailure.DISK_FULL, message) from error
                say(_skipped(photo, "The file of the photo cannot be read."))
            if found is not None:
                features_NVD[len(kept)] = found
                kept.append(photo)
            say(Message(said=Said.PROGRESS, done=number, total=len(photos)))
        if missing:
            shown = ", ".join(missing[:_MISSING_SHOWN]) + (
                "..." if missing[_MISSING_SHOWN:] else ""
            )
            message = f"The files of {len(missing)} photos are missing: {shown}"
            raise RunFailed(RunFailure.PHOTOS_MISSING, message)
        if photos and not_finite == len(photos):
            message = "The base gives numbers that are not finite for every photo."
            raise RunFailed(RunFailure.BASE_UNSUITABLE, message)
        return Extracted(tuple(kept), features_NVD[: len(kept)])


def cached(extractor: Extractor, cache: FeatureCache, photo: JobPhoto) -> Found:
    """Return the features of a photo if they are there."""
    found = cache.get(extractor.digest, photo.digest)
    if found is not None and found.shape == (extractor.views, extractor.width):
        return found
    return None


def _features(extractor: Extractor, cache: FeatureCache, photo: JobPhoto) -> Found:
    if (found := cached(extractor, cache, photo)) is not None:
        return found
    computed = extractor.features(Path(photo.file).read_bytes())
    if not np.isfinite(computed).all():
        raise InferenceFailed
    cache.put(extractor.digest, photo.digest, computed)
    return computed


def _skipped(photo: JobPhoto, reason: str) -> Message:
    return Message(said=Said.SKIPPED, skipped=SkippedPhoto(photo=photo.id, reason=reason))


def _without(folder: Path, error: Exception) -> str:
    """Return the message of an error without the path of the folder."""
    text = str(error).removeprefix(f"{folder}: ").replace(str(folder), folder.parent.name)
    return text.rstrip(".")
