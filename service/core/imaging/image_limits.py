"""Limits that are checked before any pixel is decoded: size, memory, frames, scans.

Small files can cost gigabytes or hours: a WebP of 32 bytes claims 268 megapixels, and 75 bytes of a
progressive JPEG cost a pass over all of its pixels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from schemas.errors import ImageTooLarge

LARGE_BYTES = 64 * 2**20
MAX_SIDE = 65_535
MAX_SCANS = 100
SCANNED_SHARE = 20
"""Largest scans x pixels, in units of ``max_pixels``; progressive JPEGs have about ten scans."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Markers between scans, without stuffed zeros, restarts and fill bytes. The pattern has no
# repetition, so that a search takes linear time.
SCAN_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Image limits, shared by all models of a process."""

    max_pixels: int
    max_frames: int
    max_decode_bytes: int

    def check_size(self, width: int, height: int, pixel_bytes: int = 0) -> None:
        """Check the size of an image whose header was read.

        Args:
            pixel_bytes: memory that decoding takes, in bytes per pixel; 0 if it is not limited.

        Raises:
            ImageTooLarge: more pixels than allowed, or more memory.
        """
        if max(width, height) > MAX_SIDE:
            raise ImageTooLarge(
                f"The image has {width} x {height} pixels; a side may have {MAX_SIDE}."
            )
        pixels = self.max_pixels
        if pixel_bytes:
            pixels = min(pixels, self.max_decode_bytes // pixel_bytes)
        if width * height > pixels:
            raise ImageTooLarge(
                f"The image has {width} x {height} pixels; "
                f"up to {pixels / 1e6:.3g} megapixels are accepted."
            )

    def check_frames(self, frames: int) -> None:
        """Raise ``ImageTooLarge`` if an animation announces more frames than allowed."""
        if frames > self.max_frames:
            raise ImageTooLarge(f"The image has more than {self.max_frames} frames.")

    def check_scans(self, data: bytes, width: int, height: int) -> None:
        """Raise ``ImageTooLarge`` if a JPEG has more scans than allowed for its size."""
        most = min(MAX_SCANS, SCANNED_SHARE * self.max_pixels // (width * height))
        # The first count is fast, but covers the whole file, not only the first image.
        if count_scan_marks(data) > most and _has_more_scans(data, most):
            raise ImageTooLarge("The image has too many scans.")


def is_large(width: int, height: int, pixel_bytes: int) -> bool:
    """Return whether decoding takes so much memory and time that it belongs on the slow lane."""
    return width * height * pixel_bytes > LARGE_BYTES


def count_scan_marks(data: bytes) -> int:
    """Count the start-of-scan markers of a JPEG in ``data``.

    Equal to ``data.count``, in a fifth of its time and without holding the interpreter's lock.
    """
    found = np.frombuffer(data, np.uint8)
    return int(np.count_nonzero(found[1:][found[:-1] == 0xFF] == _START_OF_SCAN))


def _has_more_scans(data: bytes, most: int) -> bool:
    """Return whether a JPEG's first image has more than ``most`` scans (ITU T.81, annex B)."""
    scans, position = 0, 2
    while match := SCAN_MARKER.search(data, position):
        marker = match[1][0]
        if marker == _END_OF_IMAGE:
            return False
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > most:
                return True
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2])
    return False
