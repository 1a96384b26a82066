"""BMP: run-length coded pixels, and unused alpha channels."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from schemas.errors import InvalidImage
from service.core.imaging.formats.source import Convert, Source

RUN_LENGTH = {1, 2}
SLOW_BYTES = 2**20
"""Run-length coded pixels of more than this belong on the slow lane: 0.4 s for 9 MB."""
BLOCK_CODES = 2**15
"""Codes that are decoded in one step, which takes some 100 bytes each."""
Numbers = NDArray[np.signedinteger]


def prepare(data: bytes) -> Source:
    """Return a BMP unchanged: it has only a short header before its pixels.

    Raises:
        InvalidImage: the header is truncated.
    """
    if len(data) < 18 or len(data) < 14 + int.from_bytes(data[14:18], "little"):
        raise InvalidImage
    is_slow = len(data) > SLOW_BYTES and int.from_bytes(data[30:34], "little") in RUN_LENGTH
    return Source(data, is_slow=is_slow, after_load=_opaque_if_all_clear)


def _opaque_if_all_clear(file: ImageFile.ImageFile) -> Convert | None:
    """Many programs set the fourth byte to 0; viewers show such an image as opaque."""
    if file.mode != "RGBA" or file.getchannel("A").getextrema() != (0, 0):
        return None
    return lambda strip, _: Image.merge("RGB", strip.split()[:3])


def expand_runs(file: ImageFile.ImageFile, data: bytes) -> None:
    """Replace run-length coded pixels by plain ones; Pillow decodes runs one by one in Python.

    Args:
        file: a BMP whose header was read and whose size was checked.
    """
    if not file.tile or file.tile[0].codec_name != "bmp_rle":
        return
    (tile,) = file.tile
    _, is_rle4, direction = cast("tuple[str, bool, int]", tile.args)
    decoder = RunDecoder(*file.size, is_rle4=is_rle4)
    decoder.decode(data[tile.offset :])
    raw_mode = "L" if file.mode in {"1", "L"} else "P"
    file.fp = io.BytesIO(decoder.pixels.tobytes())
    file.tile = [tile._replace(codec_name="raw", offset=0, args=(raw_mode, 0, direction))]


class RunDecoder:
    """A decoder of BI_RLE8 and BI_RLE4, which decodes many codes in one step.

    Every code has two bytes, since literal pixels are padded to an even number: (count, value) is
    a run, (0, 0) ends the row, (0, 1) the image, (0, 2) skips pixels, (0, n) precedes n literals.
    Codes never go back, so the pixels of a block follow each other, with gaps between them.
    """

    def __init__(self, width: int, height: int, *, is_rle4: bool) -> None:
        self.pixels = np.zeros(width * height, np.uint8)
        """[height * width] in the order of the file: the bottom row first."""
        self._width, self._height, self._is_rle4 = width, height, is_rle4
        self._column = self._row = self._end = self._skipped = 0

    def decode(self, data: bytes) -> None:
        """Decode until the pixels, the codes or the image end; pixels without a code stay 0."""
        codes = np.frombuffer(data + bytes(4), np.uint8)
        codes = codes[: codes.size // 2 * 2].reshape(-1, 2)
        last = len(codes) - 2
        for start in range(0, last, BLOCK_CODES):
            stop = min(start + BLOCK_CODES, last)
            has_ended = self._decode_block(codes, start, stop)
            if has_ended or self._row >= self._height:
                break

    def _decode_block(self, codes: NDArray[np.uint8], start: int, stop: int) -> bool:
        """Decode the codes from ``start`` to ``stop``; return whether the image ends there."""
        is_code, has_ended = self._find_codes(codes[start:stop], start)
        places = np.flatnonzero(is_code) + start
        if not places.size:
            return has_ended
        counts, values = codes[places].astype(np.int32).T
        moves = (counts == 0) & (values == 2)
        ends_row = (counts == 0) & (values == 0)
        lengths = np.where(counts > 0, counts, np.where(moves | ends_row, 0, values))
        across, down = codes[places + 1].astype(np.int32).T
        steps = np.where(moves, across, lengths).cumsum()
        # The column is the number of pixels drawn since the last end of a row.
        origins = np.maximum.accumulate(np.where(ends_row, steps, -self._column))
        before = np.concatenate(([-self._column], origins[:-1]))
        columns = np.concatenate(([0], steps[:-1])) - before
        rows = np.where(ends_row, 1, np.where(moves, down, 0)).cumsum() + self._row
        self._column, self._row = int(steps[-1] - origins[-1]), int(rows[-1])
        draws = (lengths > 0) & (rows < self._height) & (columns < self._width)
        lengths = np.minimum(lengths, self._width - columns)[draws]
        self._draw(rows[draws] * self._width + columns[draws], lengths, codes, places[draws])
        return has_ended

    def _find_codes(self, block: NDArray[np.uint8], start: int) -> tuple[NDArray[np.bool_], bool]:
        """Return which pairs of a block are codes, not literals, and whether the image ends."""
        is_code = np.ones(len(block), np.bool_)
        is_code[: max(0, self._skipped - start)] = False
        escapes = np.flatnonzero((block[:, 0] == 0) & (block[:, 1] > 0))
        for place, value in zip(escapes.tolist(), block[escapes, 1].tolist(), strict=True):
            if start + place < self._skipped:
                continue
            if value == 1:
                is_code[place:] = False
                return is_code, True
            # Next: the distance of a move, or literals of 8 or 4 bits, in pairs of bytes.
            pairs = 1 if value == 2 else (value + 3) // 4 if self._is_rle4 else (value + 1) // 2
            is_code[place + 1 : place + 1 + pairs] = False
            self._skipped = start + place + 1 + pairs
        return is_code, False

    def _draw(
        self,
        firsts: Numbers,
        lengths: Numbers,
        codes: NDArray[np.uint8],
        places: Numbers,
    ) -> None:
        """Draw runs and literals starting at the pixels ``firsts``, in ascending order."""
        if not firsts.size:
            return
        ends = firsts + lengths
        gaps = firsts - np.concatenate(([self._end], ends[:-1]))
        counts = np.stack([gaps, lengths], 1).ravel()
        values = codes[places, 1]
        target = self.pixels[self._end : int(ends[-1])]
        if self._is_rle4:
            target[:] = _repeated(values >> 4, counts)
            low = _repeated(values & 15, counts)
            # The low nibble is for pixels at an odd distance from the first of the run.
            is_odd = _repeated((firsts & 1).astype(np.uint8), counts)
            is_odd[(self._end + 1) % 2 :: 2] ^= 1
            np.copyto(target, low, where=is_odd.astype(np.bool_))
        else:
            target[:] = _repeated(values, counts)
        self._end = int(ends[-1])
        is_literal = codes[places, 0] == 0
        self._copy(firsts[is_literal], lengths[is_literal], 2 * places[is_literal] + 2, codes)

    def _copy(
        self, firsts: Numbers, lengths: Numbers, sources: Numbers, codes: NDArray[np.uint8]
    ) -> None:
        """Copy literals, whose values begin at the bytes ``sources``."""
        data = codes.ravel()
        offsets = np.arange(int(lengths.sum())) - np.repeat(lengths.cumsum() - lengths, lengths)
        values_a_byte = 2 if self._is_rle4 else 1
        read = np.repeat(sources, lengths) + offsets // values_a_byte
        values = data[np.minimum(read, data.size - 1)]
        if self._is_rle4:
            values = np.where(offsets % 2, values & 15, values >> 4)
        self.pixels[np.repeat(firsts, lengths) + offsets] = values


def _repeated(values: NDArray[np.uint8], counts: Numbers) -> NDArray[np.uint8]:
    """Repeat each value, behind a gap of zeros; ``counts``: gap and length in turn."""
    with_gaps = np.zeros(counts.size, np.uint8)
    with_gaps[1::2] = values
    return np.repeat(with_gaps, counts)
