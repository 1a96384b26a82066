"""JPEG: the segments before the first scan that pixels need. ITU T.81, annex B.

Profiles, thumbnails, comments and data of photo editors are dropped unparsed. They may be damaged,
and Pillow parses each of them in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.errors import InvalidImage, UnsupportedImage
from service.core.imaging.formats.source import MAX_STEPS, Source

# Fill bytes, stuffed zeros and junk between segments are skipped, as libjpeg does. The pattern has
# no repetition, so that a search takes linear time.
MARKER = re.compile(rb"\xff([^\x00\xff])")
SCAN, END, EXIF, COMMENT = 0xDA, 0xD9, 0xE1, 0xFE
PROGRESSIVE_FRAMES = {0xC2, 0xCA}
FRAMES = {0xC0, 0xC1, 0xC3, 0xC9} | PROGRESSIVE_FRAMES
# Hierarchical frames, and lossless ones with arithmetic coding.
UNSUPPORTED_FRAMES = {0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xDE, 0xF7}
ALL_FRAMES = FRAMES | UNSUPPORTED_FRAMES
APPLICATION = range(0xE0, 0xF0)
STANDALONE = {0x01, *range(0xD0, 0xD9)}
MAX_TABLE_BYTES = 2**17
"""Maximum size of all tables before the first scan; in usual files they have a kilobyte."""
# libjpeg holds the coefficients of all scans.
PROGRESSIVE_BYTES = 6


def prepare(data: bytes) -> Source:
    """Return a JPEG with only the segments that pixels need before the first scan.

    libjpeg reads further scans of a sequential frame only if the first lacks a component.

    Raises:
        InvalidImage: the segments are damaged, or too many.
        UnsupportedImage: a coding that libjpeg does not decode.
    """
    kept: list[tuple[int, int]] = []
    exif, pixel_bytes, table_bytes = b"", 0, 0
    components, has_one_scan = 0, False
    whole_until = 2
    for marker, start, end in _segments(data):
        if marker in APPLICATION or marker == COMMENT:
            if marker == EXIF and not exif and data.startswith(b"Exif\0\0", start + 4):
                exif = data[start + 10 : end]
            if not _is_needed(marker, data[start + 4 : min(end, start + 18)]):
                continue
        elif marker in ALL_FRAMES:
            _check_frame(marker, data[start + 4 : end])
            pixel_bytes = PROGRESSIVE_BYTES if marker in PROGRESSIVE_FRAMES else 0
            components = data[start + 9]
        if marker == SCAN:
            has_one_scan = not pixel_bytes and data[start + 4 : start + 5] == bytes((components,))
        else:
            table_bytes += end - start
        if table_bytes > MAX_TABLE_BYTES:
            raise InvalidImage("The image file has too many tables.")
        kept.append((start, end))
        whole_until = end if start == whole_until else 0
    if whole_until:
        return Source(data, exif, pixel_bytes=pixel_bytes, has_one_scan=has_one_scan)
    view = memoryview(data)
    clean = b"".join((b"\xff\xd8", *(view[start:end] for start, end in kept)))
    return Source(clean, exif, pixel_bytes=pixel_bytes, has_one_scan=has_one_scan)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Find segments: marker, its position, and the position of the next one.

    The last one is the first scan with the rest of the file.

    Raises:
        InvalidImage: there is no scan, or there are too many segments.
    """
    position, size = 2, len(data)
    for _ in range(MAX_STEPS):
        if position + 4 > size:
            raise InvalidImage
        fill, marker = data[position : position + 2]
        if fill != 0xFF or marker in {0x00, 0xFF}:
            match = MARKER.search(data, position)
            if match is None:
                raise InvalidImage
            position, marker = match.start(), match[1][0]
        if marker == SCAN:
            yield marker, position, size
            return
        if marker in STANDALONE:
            position += 2
            continue
        start, length = position, int.from_bytes(data[position + 2 : position + 4])
        position += 2 + length
        if marker == END or length < 2 or position > size:
            raise InvalidImage
        yield marker, start, position
    raise InvalidImage("The image file has too many segments.")


def _is_needed(marker: int, content: bytes) -> bool:
    """Return whether libjpeg reads the colour coding from an application segment."""
    if len(content) < 12:  # libjpeg ignores short ones
        return False
    return (marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 14) or (
        marker == 0xEE and content.startswith(b"Adobe")
    )


def _check_frame(marker: int, content: bytes) -> None:
    """Refuse a frame header that libjpeg or Pillow does not support."""
    if marker in UNSUPPORTED_FRAMES:
        raise UnsupportedImage("JPEG of this coding is not supported; send baseline JPEG.")
    if len(content) < 6:
        raise InvalidImage
    bits, components = content[0], content[5]
    if bits != 8:
        raise UnsupportedImage(f"JPEG of {bits} bits a sample is not supported.")
    if components not in {1, 3, 4}:
        raise UnsupportedImage(f"JPEG of {components} components is not supported.")
