"""The training set as arrays on disk: several views of each photo with the teacher's features.

Building it takes minutes of the teacher once; the training loop then reads uint8 views from mapped
memory. The folder's name depends on all settings, so a change builds a new one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.photos import Photo
from training.teacher import SIDE, Teacher
from training.views import Geometry, centre_box, random_box, view

CHUNK = 32
"""Photos per step: the unit of progress and of resumption."""


@dataclass(frozen=True, slots=True)
class Views:
    """Views of every photo; view 0 is the centre view that serving uses.

    images_PVHWC: uint8 [photos, views, crop, crop, 3]; features_PVF: float16, the teacher's
    pooled features of the same crop (None without a teacher); labels_P: int64.
    """

    images_PVHWC: NDArray[np.uint8]
    features_PVF: NDArray[np.float16] | None
    labels_P: NDArray[np.int64]


def prepare(
    photos: list[Photo],
    *,
    geometry: Geometry,
    crops: int,
    area: tuple[float, float],
    teacher_path: Path | None,
    threads: int,
    cache: Path,
    seed: int,
) -> Views:
    """Build the views, or map those of an earlier run with the same settings in ``cache``."""
    folder = cache / _fingerprint(photos, geometry, crops, area, teacher_path, seed)
    folder.mkdir(parents=True, exist_ok=True)
    views, side = crops + 1, geometry.crop
    teacher = Teacher(teacher_path, threads) if teacher_path else None
    progress = folder / "chunks-done"
    done = int(progress.read_text()) if progress.exists() else 0
    mode = "r+" if done else "w+"
    shape = (len(photos), views, side, side, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", mode, np.uint8, shape)
    features = None
    if teacher:
        width = teacher.features(np.zeros((1, SIDE, SIDE, 3), np.uint8)).shape[1]
        features = np.lib.format.open_memmap(
            folder / "features.npy", mode, np.float16, (len(photos), views, width)
        )
    chunks = range(done * CHUNK, len(photos), CHUNK)
    for start in tqdm(chunks, "views", unit=f" x {CHUNK} photos", disable=not chunks):
        for row in range(start, min(start + CHUNK, len(photos))):
            rng = np.random.default_rng((seed, row))
            image = photos[row].decode()
            size = image.size
            boxes = [centre_box(*size, geometry)] + [
                random_box(*size, rng, area) for _ in range(crops)
            ]
            images[row] = np.stack([view(image, box, side) for box in boxes])
            if teacher and features is not None:
                wide = np.stack([view(image, box, SIDE) for box in boxes])
                features[row] = teacher.features(wide).astype(np.float16)
        progress.write_text(str(start // CHUNK + 1))
    labels = np.array([photo.label for photo in photos], np.int64)
    return Views(images, features, labels)


def _fingerprint(
    photos: list[Photo],
    geometry: Geometry,
    crops: int,
    area: tuple[float, float],
    teacher_path: Path | None,
    seed: int,
) -> str:
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(photo.name.encode() + photo.encoded)
    if teacher_path:
        digest.update(teacher_path.read_bytes())
    facts = (geometry.resize, geometry.crop, crops, area, bool(teacher_path), seed)
    digest.update(json.dumps(facts).encode())
    return digest.hexdigest()[:16]
