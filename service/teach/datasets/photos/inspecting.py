"""What the bytes of a photo say: whether it can be decoded, its size, when it was taken.

The whole photo is decoded, within the limits of uploads, on the worker pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from PIL import Image

from service.core.engine.fair_queue import Flow, Turn
from service.core.engine.pool import SlowWork, WorkerPool
from service.core.imaging.decoding import open_image
from service.core.imaging.image_limits import ImageLimits
from service.core.scheduling.priority import SHARES, Priority
from service.teach.datasets.photos.exif import capture_time
from service.teach.datasets.photos.pictures import preview, scaled
from service.teach.datasets.store.files import digest_of

HASH_SIDE = 128
"""Width and height of the grey copy that a perceptual hash is computed from, in pixels."""
Hash = Callable[[Image.Image], int]
"""Perceptual hash, 64 bits, of a grey copy, upright, with both sides ``HASH_SIDE``."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Inspected:
    """A photo that can be decoded.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
        width: as seen upright, in pixels; also ``height``.
        captured: when it was taken, in seconds since the epoch; None: unknown.
        hash64: perceptual hash; None: not computed.
    """

    digest: str
    width: int
    height: int
    captured: float | None
    hash64: int | None


class PhotoInspector:
    """Inspects photos on the worker pool, behind the callers of the server."""

    def __init__(self, pool: WorkerPool, limits: ImageLimits, hash_of: Hash | None = None) -> None:
        """``hash_of``: None: photos get no perceptual hash."""
        self._pool, self._limits, self._hash_of = pool, limits, hash_of
        self._flow = Flow()

    async def inspect(self, image: bytes, dataset: str) -> Inspected:
        """Return what the photo says.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge: see ``inspect``.
        """
        return await self._run(partial(inspect, image, self._limits, self._hash_of), dataset)

    async def preview(self, image: bytes, side: int, dataset: str) -> bytes:
        """Return a small JPEG, upright, without metadata.

        Raises:
            UnsupportedImage, InvalidImage, ImageTooLarge: see ``open_image``.
        """
        return await self._run(partial(preview, image, self._limits, side), dataset)

    async def _run(self, work: Callable[..., Result], dataset: str) -> Result:
        turn = Turn(self._flow, f"teach:{dataset}", weight=1, share=SHARES[Priority.BULK])
        try:
            return await self._pool.run(partial(work, may_be_slow=False), turn)
        except SlowWork:
            return await self._pool.run(partial(work, may_be_slow=True), turn, is_slow=True)


def inspect(
    image: bytes, limits: ImageLimits, hash_of: Hash | None = None, *, may_be_slow: bool = True
) -> Inspected:
    """Decode a photo and return what it says.

    Raises:
        UnsupportedImage, ImageTooLarge: see ``open_image``.
        InvalidImage: it is damaged, or more than a hundredth of it is missing.
        SlowWork: the photo is large and ``may_be_slow`` is false.
    """
    with open_image(image, limits, may_be_slow=may_be_slow) as opened:
        grey = scaled(opened, "L", (HASH_SIDE, HASH_SIDE))
        return Inspected(
            digest_of(image),
            opened.width,
            opened.height,
            capture_time(opened.source.exif or opened.file.info.get("exif") or b""),
            None if hash_of is None else hash_of(grey),
        )
