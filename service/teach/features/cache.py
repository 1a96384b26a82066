"""Features of photos on the disk, by what they were computed with and the photo's digest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

    def forget(self, photos: Collection[str]) -> None:
        """Remove the features of photos, by their digests, of every base."""
        with suppress(OSError):
            for extractor in self._folder.iterdir():
                for photo in photos:
                    self._file(extractor.name, photo).unlink(missing_ok=True)

    def _file(self, extractor: str, photo: str) -> Path:
        return self._folder / extractor / photo[:_PREFIX_CHARS] / f"{photo[_PREFIX_CHARS:]}.npy"
