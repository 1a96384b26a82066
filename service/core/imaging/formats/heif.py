"""HEIC and AVIF, decoded if the extra ``potoo[heif]`` is installed.

Their decoders are large and written in C++, so they are imported when the first such file arrives.
"""

from __future__ import annotations

import functools
import importlib.util
import threading

from schemas.errors import UnsupportedImage
from service.core.imaging.formats.source import Source

NAMES = ("HEIC", "AVIF")
PLUGINS = {"HEIC": "HEIF", "AVIF": "AVIF"}
"""Pillow's name of each format."""
# Decoded planes of up to 16 bits a sample, their conversion to RGB, and two copies of that.
PIXEL_BYTES = 16
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_GENERIC_BRANDS = {b"mif1", b"mif2", b"msf1", b"miaf"}
_MAX_BRANDS_BYTES = 1024
_registration = threading.Lock()


def recognise(data: bytes) -> str | None:
    """Return HEIC or AVIF by the brands of the file type box (ISO/IEC 23008-12); else None."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4]), _MAX_BRANDS_BYTES)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] not in _HEIC_BRANDS | _AVIF_BRANDS | _GENERIC_BRANDS:
        return None  # films have this box too
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return "AVIF"
        if brand in _HEIC_BRANDS:
            return "HEIC"
    return None


def is_installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return importlib.util.find_spec("pillow_heif") is not None


def check_installed(name: str) -> None:
    """Raise ``UnsupportedImage`` if the extra is not installed; ``name``: HEIC or AVIF."""
    if not is_installed():
        raise UnsupportedImage(f"This is {name}; send JPEG.")


def prepare(data: bytes, name: str) -> Source:
    """Register the decoder of the format. The decoder applies rotation, not EXIF."""
    with _registration:
        _register(name)
    return Source(data, pixel_bytes=PIXEL_BYTES, is_slow=True)


@functools.cache
def _register(name: str) -> None:
    if name == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    else:
        import pillow_heif

        # One thread: the slow lane has one. Nothing but the primary image is needed.
        pillow_heif.register_heif_opener(
            decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
        )
