"""GIF: the first frame, without comments and other blocks in front of it. GIF89a.

Parts of the canvas outside that frame are transparent, as in every browser. The specification says
background colour, which programs set arbitrarily.
"""

from __future__ import annotations

import struct
from functools import partial

from PIL import Image, ImageFile

from schemas.errors import InvalidImage
from service.core.imaging.formats.source import MAX_STEPS, Convert, Source

_HEADER_BYTES = 13


def prepare(data: bytes) -> Source:
    """Return a GIF whose header is followed by its first frame.

    Raises:
        InvalidImage: there is no frame, or too many blocks before it.
    """
    try:
        start = _HEADER_BYTES + _palette_bytes(data[10])
        position, control = _first_frame(data, start)
        left, upper, width, height = struct.unpack_from("<4H", data, position + 1)
    except (IndexError, struct.error) as error:
        raise InvalidImage from error
    source = Source(b"".join((data[:start], control, memoryview(data)[position:])))
    screen_width, screen_height = struct.unpack_from("<HH", data, 6)
    if left or upper or width < screen_width or height < screen_height:
        source.after_load = partial(_on_white, (left, upper, left + width, upper + height))
    return source


def _first_frame(data: bytes, position: int) -> tuple[int, bytes]:
    """Return the position of the first frame, and the graphic control extension for it."""
    control, steps = b"", 0
    while (kind := data[position]) != 0x2C:
        if kind == 0x3B:
            raise InvalidImage
        if kind == 0x21:
            if data[position + 1 : position + 3] == b"\xf9\x04":
                # How frames follow each other does not matter; the transparent colour does.
                flags, clear = data[position + 3] & 1, data[position + 6]
                control = bytes((0x21, 0xF9, 4, flags, 0, 0, clear, 0))
            position += 2
            while size := data[position]:
                position += size + 1
                steps += 1
        position += 1
        steps += 1
        if steps > MAX_STEPS:
            raise InvalidImage("The image file has too many segments.")
    return position, control


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _on_white(frame: tuple[int, int, int, int], _: ImageFile.ImageFile) -> Convert:
    """Clear what the frame (left, upper, right, lower) does not cover."""

    def convert(strip: Image.Image, corner: tuple[int, int]) -> Image.Image:
        left, upper = corner
        covered = (
            min(max(frame[0] - left, 0), strip.width),
            min(max(frame[1] - upper, 0), strip.height),
            max(min(frame[2] - left, strip.width), 0),
            max(min(frame[3] - upper, strip.height), 0),
        )
        whole = Image.new("RGBA", strip.size, (255, 255, 255, 0))
        if covered[0] < covered[2] and covered[1] < covered[3]:
            whole.paste(strip.crop(covered).convert("RGBA"), covered)
        return whole

    return convert
