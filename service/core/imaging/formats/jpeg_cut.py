"""Truncated JPEGs, which every browser shows: measure the missing share."""

from __future__ import annotations

import io
from collections import defaultdict

import numpy as np
from PIL import Image, ImageFile

from schemas.errors import InvalidImage
from service.core.imaging.formats.jpeg import END, SCAN
from service.core.imaging.image_limits import SCAN_MARKER

LEAST_SHARE = 0.99
"""Minimum share of pixels that must be present, in the order of the file."""
_END = b"\xff\xd9"
_ALL_COEFFICIENTS = (1 << 64) - 1
_MAX_SEGMENTS = 1000
# Decoded in place of missing data: the first pixel that it changes is the first missing one.
_PROBE = bytes((7 + 37 * number * number) % 251 for number in range(256))
_FRAME_MARKERS = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")


def has_end(data: bytes) -> bool:
    """Return whether a JPEG has its end; other data may follow it.

    libjpeg reports a missing end only if the last pixels need more bytes.
    """
    return data.endswith(_END) or _END in data


def completed(data: bytes, layers: list[tuple[int, int, int, int]]) -> bytes:
    """Append an end to a truncated JPEG that lacks very few pixels.

    Args:
        data: a JPEG that ended too early for libjpeg.
        layers: identity, vertical and horizontal sampling, and table of each component.

    Raises:
        InvalidImage: it has its end, or more pixels are missing.
    """
    has_luma = _check_scans(data, [layer[0] for layer in layers])
    body = data.rstrip(b"\xff")
    mode = "L" if has_luma else None
    with _opened(body + _END, mode) as file, _opened(body + _PROBE + _END, mode) as probed:
        differs = np.asarray(file) != np.asarray(probed)
    differs_HW = differs.any(axis=2) if differs.ndim == 3 else differs
    unit = (8 * max(layer[1] for layer in layers), 8 * max(layer[2] for layer in layers))
    if _share_before(differs_HW, unit) < LEAST_SHARE:
        raise InvalidImage
    return body + _END


def _opened(data: bytes, mode: str | None) -> ImageFile.ImageFile:
    file = Image.open(io.BytesIO(data), formats=("JPEG",))
    file.draft(mode, None)
    file.load()
    return file


def _check_scans(data: bytes, components: list[int]) -> bool:
    """Check that the last of all scans has begun; return whether it has the first component.

    Raises:
        InvalidImage: a component lacks coefficients, or the JPEG has its end.
    """
    position = data.index(bytes((0xFF, SCAN)))
    known: dict[int, int] = defaultdict(int)
    has_first = False
    for _ in range(_MAX_SEGMENTS):
        match = SCAN_MARKER.search(data, position)
        if match is None:
            break
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2])
        if match[1][0] == END or position > len(data):
            raise InvalidImage
        if match[1][0] == SCAN:
            header = data[match.end() + 2 : position]
            count = header[0]
            scanned = list(header[1 : 1 + 2 * count : 2])
            first, last, bits = header[1 + 2 * count : 4 + 2 * count]
            has_first = components[0] in scanned
            if bits & 15 == 0:  # to the last bit
                for component in scanned:
                    known[component] |= (1 << (last + 1)) - (1 << first)
    else:
        raise InvalidImage
    if any(known[component] != _ALL_COEFFICIENTS for component in components):
        raise InvalidImage
    return has_first


def _share_before(
    differs_HW: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], unit: tuple[int, int]
) -> float:
    """Return the share of pixels before the first unit (height, width) that differs."""
    height, width = differs_HW.shape
    rows = np.flatnonzero(differs_HW.any(axis=1))
    if not rows.size:
        return 1.0
    upper = int(rows[0]) // unit[0] * unit[0]
    band = differs_HW[upper : upper + unit[0]]
    left = int(np.flatnonzero(band.any(axis=0))[0]) // unit[1] * unit[1]
    return (upper * width + len(band) * left) / (height * width)
