"""Features of photos on the disk, by what they were computed with and the photo's digest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNUSED_DAYS = 30
_PART = ".part-"
_PREFIX_CHARS = 2


class FeatureCache:
    """Files ``<digest of the extractor>/ab/cdef....npy``. Every method blocks.

    A file is renamed into place. It is not synced: one that a power failure damages is computed
    again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, extractor: str, photo: str) -> NDArray[np.float32] | None:
        """Return the features, float32 [V, D]; None if there are none, or the file is damaged."""
        try:
            found = np.load(self._file(extractor, photo), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if found.dtype != np.float32 or found.ndim != 2 or not np.isfinite(found).all():
            return None
        features_VD: NDArray[np.float32] = found
        return features_VD

    def put(self, extractor: str, photo: str, features_VD: NDArray[np.float32]) -> None:
        """Keep features.

        Raises:
            OSError: they cannot be written, such as on a full disk.
        """
        file = self._file(extractor, photo)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(prefix=_PART, dir=file.parent)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                np.save(opened, features_VD, allow_pickle=False)
            Path(part).replace(file)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise

    def use(self, extractor: str) -> None:
        """Note that the features of an extractor are in use, so that ``sweep`` leaves them."""
        with suppress(OSError):
            os.utime(self._folder / extractor)

    def sweep(self, now: float) -> int:
        """Remove features that no job has used for ``UNUSED_DAYS``; return how many extractors.

        Their bases were removed or replaced, most likely; else they are computed again.

        Args:
            now: seconds since the epoch.
        """
        removed = 0
        with suppress(OSError):
            for folder in list(self._folder.iterdir()):
                if now - folder.stat().st_mtime > UNUSED_DAYS * 86_400:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
        return removed

    def forget(self, photos: Collection[str]) -> None:
        """Remove the features of photos, by their digests, of every base."""
        with suppress(OSError):
            for extractor in self._folder.iterdir():
                for photo in photos:
                    self._file(extractor.name, photo).unlink(missing_ok=True)

    def _file(self, extractor: str, photo: str) -> Path:
        return self._folder / extractor / photo[:_PREFIX_CHARS] / f"{photo[_PREFIX_CHARS:]}.npy"
