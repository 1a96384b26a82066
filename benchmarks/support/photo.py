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
PHONE_TITLE, PHONE_QUALITY = "2.5 MB", 98
"""The large photo with fine detail, as phones save it."""


def jpeg(
    size: tuple[int, int] = SIZE,
    about: int | None = BYTES,
    picture: str = "coffee.png",
    quality: int = 90,
) -> bytes:
    """Encode scikit-image's cup of coffee (CC0, Rachel Michetti), close to ``about`` bytes.

    Args:
        about: in bytes; None for the size that ``quality`` gives.
        picture: another picture of scikit-image, such as ``astronaut.png``.
    """
    with Image.open(Path(data_dir) / picture) as original:
        photo = original.convert("RGB").resize(size, Image.Resampling.LANCZOS)

    def at(quality: int) -> bytes:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    if about is None:
        return at(quality)
    return min(
        (at(quality) for quality in range(70, 99, 2)), key=lambda data: abs(len(data) - about)
    )


@functools.cache
def large_jpeg() -> bytes:
    """Encode the photo as from a phone: 12 megapixels."""
    return jpeg(LARGE, about=None)


@functools.cache
def named(title: str) -> bytes:
    """Return the photo of a title: ``LARGE_TITLE``, ``PHONE_TITLE``; the small one for others."""
    if title == PHONE_TITLE:
        return jpeg(LARGE, about=None, quality=PHONE_QUALITY)
    return large_jpeg() if title == LARGE_TITLE else jpeg()


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
