"""An encoded image as Pillow's parser gets to see it: without what its pixels do not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFile

Convert = Callable[[Image.Image, tuple[int, int]], Image.Image]
"""Converts a strip of the decoded image, given the position (left, upper) of its corner, to a mode
of 8 bits a sample whose alpha channel, if any, is the strip's transparency."""

MAX_STEPS = 2**18
"""Blocks of a file that are walked over in Python: some 0.1 s. A block of GIF has up to 255 bytes,
those of other formats have kilobytes, so that a file needs more only if it was made to."""


@dataclass(slots=True)
class Source:
    """The bytes to decode, and what was read from the rest of the file.

    exif: the payload of the EXIF metadata; empty if there is none.
    frames: the frame count that the header announces.
    pixel_bytes: memory that decoding takes, in bytes a pixel; 0 where it does not count.
    has_one_scan: whether a JPEG is complete after its first scan, so that a decoder reads no other.
    is_slow: whether decoding belongs on the slow lane, whatever memory it takes.
    after_load: called with the decoded image; returns how to read its pixels where Pillow's own
        conversion would be wrong, else None.
    """

    data: bytes
    exif: bytes = b""
    frames: int = 1
    pixel_bytes: int = 4
    has_one_scan: bool = False
    is_slow: bool = False
    after_load: Callable[[ImageFile.ImageFile], Convert | None] | None = None
