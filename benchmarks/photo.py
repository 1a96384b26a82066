"""The photo that is posted: 500 x 375 pixels, about 67 kB of JPEG."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from skimage.data import data_dir

SIZE = (500, 375)
BYTES = 67_000


def jpeg(size: tuple[int, int] = SIZE, about: int | None = BYTES) -> bytes:
    """scikit-image's cup of coffee (CC0, Rachel Michetti), as near to ``about`` bytes as can be."""
    with Image.open(Path(data_dir) / "coffee.png") as original:
        photo = original.convert("RGB").resize(size, Image.Resampling.LANCZOS)

    def at(quality: int) -> bytes:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    if about is None:
        return at(90)
    return min(
        (at(quality) for quality in range(70, 99, 2)), key=lambda data: abs(len(data) - about)
    )
