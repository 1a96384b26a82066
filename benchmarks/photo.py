"""The posted photos: 500 x 375 pixels, about 67 kB of JPEG, and a phone's."""

from __future__ import annotations

import base64
import functools
import io
import json
from pathlib import Path

import httpx
from PIL import Image
from skimage.data import data_dir

SIZE = (500, 375)
LARGE = (4000, 3000)
BYTES = 67_000
LARGE_TITLE = "12 megapixels"


def jpeg(
    size: tuple[int, int] = SIZE, about: int | None = BYTES, picture: str = "coffee.png"
) -> bytes:
    """Encode scikit-image's cup of coffee (CC0, Rachel Michetti), close to ``about`` bytes.

    Args:
        picture: another picture of scikit-image, such as ``astronaut.png``.
    """
    with Image.open(Path(data_dir) / picture) as original:
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


@functools.cache
def large_jpeg() -> bytes:
    """Encode the photo as from a phone: 12 megapixels."""
    return jpeg(LARGE, about=None)


def forms(body: bytes) -> dict[str, tuple[str, bytes]]:
    """Return content type and body by title: the photo in other forms, and a phone's JPEG."""
    multipart = httpx.Request("POST", "http://bench", files={"file": ("a.jpg", body)})
    return {
        "multipart": (multipart.headers["content-type"], multipart.read()),
        "base64 in JSON": (
            "application/json",
            json.dumps({"image": base64.b64encode(body).decode()}).encode(),
        ),
        LARGE_TITLE: ("image/jpeg", large_jpeg()),
    }
