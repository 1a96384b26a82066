"""Hostile image files: truncated, with false headers, or expensive to decode."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

from PIL import Image

from tests.support.models.pictures import encoded

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MEGABYTE = 2**20


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One chunk of a PNG."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def deflated_zeros(count: int) -> bytes:
    """Compressed zeros, a thousandth of their size."""
    compressor = zlib.compressobj(9)
    parts = [
        compressor.compress(bytes(min(MEGABYTE, count - at))) for at in range(0, count, MEGABYTE)
    ]
    return b"".join(parts) + compressor.flush()


def png(width: int, height: int, pixels: bytes, *, extra: bytes = b"") -> bytes:
    """An RGB PNG with any announced size and data; ``extra`` chunks come before it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND")


def black_png(side: int, *, extra: bytes = b"") -> bytes:
    """A valid square black PNG, very small as a file."""
    return png(side, side, deflated_zeros(side * (side * 3 + 1)), extra=extra)


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of one colour in 32 bytes, whatever its size."""
    size = struct.pack("<I", (width - 1) | (height - 1) << 14)
    data = b"\x2f" + size + b"\x88\x88\x08"
    return (
        b"RIFF"
        + struct.pack("<I", len(data) + 12)
        + b"WEBPVP8L"
        + struct.pack("<I", len(data))
        + data
    )


def animated_png(frames: int) -> bytes:
    """An animated PNG that announces a number of frames."""
    return black_png(8, extra=chunk(b"acTL", struct.pack(">II", frames, 0)))


def animation(
    kind: str,
    frames: int,
    colours: Sequence[tuple[int, int, int]] = ((0, 0, 0), (255, 255, 255)),
) -> bytes:
    """An animation of 8 x 8 pixels, whose frames have these colours in turn."""
    plain = [Image.new("RGB", (8, 8), colour) for colour in colours]
    first, *rest = (plain[number % len(plain)] for number in range(frames))
    buffer = io.BytesIO()
    first.save(buffer, kind, save_all=True, append_images=rest)
    return buffer.getvalue()


def resized_header(data: bytes, width: int, height: int) -> bytes:
    """A JPEG, GIF, BMP or little-endian TIFF whose header announces another size."""
    if data.startswith(b"\xff\xd8"):
        at = data.index(b"\xff\xc0") + 5
        return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
    if data.startswith(b"GIF"):
        return data[:6] + struct.pack("<HH", width, height) + data[10:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    for tag, value in ((256, width), (257, height)):
        at = data.index(struct.pack("<HHI", tag, 4, 1))
        data = data[: at + 8] + struct.pack("<I", value) + data[at + 12 :]
    return data


def wide_gif_frame(width: int, height: int) -> bytes:
    """A GIF whose frame is larger than the screen that its header announces."""
    data = encoded(Image.new("P", (8, 8)), "GIF")
    at = data.index(b",") + 5
    return data[:at] + struct.pack("<HH", width, height) + data[at + 4 :]


def many_scans(scans: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """A progressive JPEG with many scans of about 20 bytes each."""
    data = encoded(Image.new("L", size), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def many_segments(marker: int, payload: bytes, count: int) -> bytes:
    """A JPEG with many application segments or comments before the image."""
    data = encoded(Image.new("RGB", (8, 8)), "JPEG")
    segment = bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload
    return data[:2] + segment * count + data[2:]
