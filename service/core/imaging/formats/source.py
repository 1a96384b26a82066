"""An encoded image as passed to Pillow's parser, without data that its pixels do not need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageFile

Convert = Callable[[Image.Image, tuple[int, int]], Image.Image]
"""Converts a strip of the decoded image, given the position (left, upper) of its corner, to a mode
of 8 bits a sample whose alpha channel, if any, is the strip's transparency."""

MAX_STEPS = 2**18
"""Maximum number of blocks of a file that are skipped in Python, in about 0.1 s.

A block of GIF has up to 255 bytes, those of other formats have kilobytes, so that only crafted
files have more.
"""


@dataclass(slots=True)
class Source:
    """The bytes to decode, and metadata from the rest of the file.

    exif: the payload of the EXIF metadata; empty if there is none.
    frames: the frame count that the header announces.
    pixel_bytes: memory that decoding takes, in bytes per pixel; 0 if it is not limited.
    has_one_scan: whether a JPEG is complete after its first scan: a decoder reads no other.
    is_slow: whether decoding belongs on the slow lane regardless of its memory.
    after_load: called with the decoded image; returns a function that reads its pixels if Pillow's
    own conversion is wrong, else None.
    """

    data: bytes
    exif: bytes = b""
    frames: int = 1
    pixel_bytes: int = 4
    has_one_scan: bool = False
    is_slow: bool = False
    after_load: Callable[[ImageFile.ImageFile], Convert | None] | None = None
