"""The difference hash of a photo (dHash): alike photos have hashes that differ in few bits."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

SIDE = 8
BITS = SIDE * SIDE


def difference_hash(image: Image.Image) -> int:
    """Return the 64-bit dHash: whether each pixel of 9 x 8 grey ones is darker than the next.

    Rows from the top, the first bit is the highest. The image is turned upright as its EXIF
    orientation says. (N. Krawetz, "Kind of Like That", 2013.)
    """
    image.draft("L", (16 * SIDE, 16 * SIDE))  # large JPEGs are decoded at a fraction of their size
    upright = ImageOps.exif_transpose(image)
    grey = upright.convert("L").resize((SIDE + 1, SIDE), Image.Resampling.LANCZOS)
    grey_88 = np.asarray(grey, dtype=np.int16)
    bits = grey_88[:, 1:] > grey_88[:, :-1]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_of(data: bytes) -> int:
    """Return the dHash of an encoded image.

    Raises:
        OSError, ValueError: Pillow cannot read it.
    """
    with Image.open(BytesIO(data)) as image:
        return difference_hash(image)


def as_hex(value: int) -> str:
    """Return 16 hexadecimal digits."""
    return f"{value:016x}"
