"""PNG: the chunks that pixels need, and transparent colours at the file's own depth.

Other chunks (text, colour profiles, resolutions) are dropped unparsed; they may be damaged, huge or
a decompression bomb. W3C PNG, third edition.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from schemas.errors import InvalidImage, UnsupportedImage
from service.core.imaging.formats.source import MAX_STEPS, Convert, Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
WANTED = {b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"CgBI"}
_END = b"\0\0\0\0IEND\xaeB`\x82"


def prepare(data: bytes) -> Source:
    """Return a PNG of one frame with only pixels, palette and transparency.

    Raises:
        InvalidImage: there are no pixels, or too many chunks.
        UnsupportedImage: Apple's variant of PNG, which only iOS can read.
    """
    view, is_before = memoryview(data), True
    found: dict[bytes, bytes] = {}
    pixels: list[memoryview | bytes] = []
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            if is_before:
                # A view takes more memory than a small chunk.
                pixels.append((view if end - start > 1024 else data)[start + 8 : end - 4])
            continue
        is_before &= not pixels
        if kind in WANTED and kind not in found and (is_before or kind == b"eXIf"):
            found[kind] = data[start:end]
    header = found.get(b"IHDR", b"")
    if b"CgBI" in found:
        raise UnsupportedImage("This is a PNG in Apple's own variant; send a standard PNG.")
    if len(header) < 25 or not pixels:
        raise InvalidImage
    depth, colour = header[16], header[17]
    palette = found.get(b"PLTE", b"") if colour == PALETTE else b""
    key, animation = _content(found, b"tRNS"), _content(found, b"acTL")
    clear, deep_key = _transparency(depth, colour, key, (len(palette) - 12) // 3)
    idat = struct.pack(">I4s", sum(map(len, pixels)), b"IDAT")
    # Pillow does not verify the CRC of pixel data, since deflate has its own checksum.
    parts = (SIGNATURE, header, palette, clear, idat, *pixels, bytes(4), _END)
    source = Source(b"".join(parts), _content(found, b"eXIf"))
    if len(animation) >= 4:
        source.frames = int.from_bytes(animation[:4])
    if deep_key and colour == GREY:
        source.after_load = partial(_grey_key, deep_key[0])
    elif deep_key:
        source.pixel_bytes = 12
        source.after_load = partial(_rgb_key, deep_key, source.data)
    return source


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Find chunks: type, position of its length, and position of the next chunk.

    Raises:
        InvalidImage: there are too many.
    """
    position = len(SIGNATURE)
    for _ in range(MAX_STEPS):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        start, position = position, position + 12 + length
        if kind == b"IEND":
            return
        yield kind, start, position
    raise InvalidImage("The image file has too many segments.")


def _content(found: Mapping[bytes, bytes], kind: bytes) -> bytes:
    """Return a chunk's content; empty if it is missing or damaged, as libpng ignores it."""
    chunk = found.get(kind, b"")
    if len(chunk) < 12 or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
        return b""
    return chunk[8:-4]


def _transparency(
    depth: int, colour: int, key: bytes, entries: int
) -> tuple[bytes, tuple[int, ...]]:
    """Return the tRNS chunk for Pillow, and the key colour if it has 16 bits a sample.

    Pillow compares decoded pixels of 8 bits with the file's key. Only the low bits of a key count.
    """
    if colour == PALETTE:
        return (_chunk(b"tRNS", key) if 0 < len(key) <= entries else b""), ()
    if len(key) != {GREY: 2, RGB: 6}.get(colour):
        return b"", ()
    values = struct.unpack(f">{len(key) // 2}H", key)
    if depth == 16:
        return b"", values
    scale = {2: 85, 4: 17}.get(depth, 1)
    scaled = [(value & ((1 << depth) - 1)) * scale for value in values]
    return _chunk(b"tRNS", struct.pack(f">{len(scaled)}H", *scaled)), ()


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def _grey_key(key: int, _: ImageFile.ImageFile) -> Convert:
    def convert(strip: Image.Image, _: tuple[int, int]) -> Image.Image:
        values = np.asarray(strip)
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        return Image.merge("LA", (grey, _opaque_unless(values == key)))

    return convert


def _rgb_key(key: tuple[int, ...], png: bytes, _: ImageFile.ImageFile) -> Convert:
    """Decode the image again for the low bytes of its samples, which Pillow drops."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as file:
        # Of a big-endian sample, the byte that would be the high one of a little-endian sample.
        file.tile = [tile._replace(args="RGB;16L") for tile in file.tile]
        file.load()
        low_bytes = file
    high_key = np.array([value >> 8 for value in key], np.uint8)
    low_key = np.array([value & 255 for value in key], np.uint8)

    def convert(strip: Image.Image, corner: tuple[int, int]) -> Image.Image:
        left, upper = corner
        low = low_bytes.crop((left, upper, left + strip.width, upper + strip.height))
        is_key = (np.asarray(strip) == high_key) & (np.asarray(low) == low_key)
        return Image.merge("RGBA", (*strip.split(), _opaque_unless(is_key.all(axis=2))))

    return convert


def _opaque_unless(is_clear: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.where(is_clear, 0, 255).astype(np.uint8))
