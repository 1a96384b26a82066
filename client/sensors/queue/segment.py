"""One file of the queue: a header, then DATA frames byte for byte as they are sent.

A segment is only ever appended to, so a crash or a power failure can damage nothing but its end.
Each frame has a CRC-32C (``schemas.sensor_wire``): on opening, the file is cut after the last frame
that is whole. Header, little-endian, 32 bytes::

    "PTQ1" | channels u32 | epoch u64 | first sequence u64 | 0 u32 | CRC-32C u32 of these 28 bytes
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google_crc32c import extend
from google_crc32c import value as crc32c

from schemas.sensor_wire.frames import HEADER, FrameType
from schemas.sensor_wire.messages import DATA_HEAD_BYTES

_HEAD = struct.Struct("<4sIQQI")
_MAGIC = b"PTQ1"
SEGMENT_HEAD_BYTES = _HEAD.size + 4
SUFFIX = ".samples"
_DATA_HEAD = struct.Struct("<QqI")
_HEADS_BYTES = HEADER.size + DATA_HEAD_BYTES
_PERMISSIONS = 0o600


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A whole DATA frame in ``data``, with the samples from ``first`` to before ``end``."""

    first: int
    end: int
    data: bytes


@dataclass(slots=True)
class Segment:
    """An open segment.

    Attributes:
        end: sequence number after its last sample.
        size: bytes of the file that hold the header and whole frames.
    """

    path: Path
    file: int
    channels: int
    epoch: int
    first: int
    end: int
    size: int

    @classmethod
    def create(cls, folder: Path, channels: int, epoch: int, first: int) -> Segment:
        """Create a segment; it is on disk when this returns.

        Raises:
            OSError: the disk is full or broken.
        """
        path = folder / f"{epoch:016x}-{first:016x}{SUFFIX}"
        head = _HEAD.pack(_MAGIC, channels, epoch, first, 0)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _PERMISSIONS)
        try:
            _write_all(file, head + crc32c(head).to_bytes(4, "little"), 0)
            os.fsync(file)
            _sync_folder(folder)
        except BaseException:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        return cls(path, file, channels, epoch, first, first, SEGMENT_HEAD_BYTES)

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """Open a segment without looking at its frames; ``end`` is ``first``.

        Returns:
            None if its header is damaged; the file is deleted then.
        """
        file = os.open(path, os.O_RDWR)
        head = os.pread(file, SEGMENT_HEAD_BYTES, 0)
        if (
            len(head) < SEGMENT_HEAD_BYTES
            or head[:4] != _MAGIC
            or crc32c(head[:-4]) != int.from_bytes(head[-4:], "little")
        ):
            os.close(file)
            path.unlink()
            return None
        _, channels, epoch, first, _ = _HEAD.unpack(head[:-4])
        return cls(path, file, channels, epoch, first, first, os.fstat(file).st_size)

    def recover(self) -> int:
        """Cut the file after its last whole frame; set ``end``. Return the bytes that were cut."""
        size, end = SEGMENT_HEAD_BYTES, self.first
        for frame in self.frames(size):
            size, end = size + len(frame.data), frame.end
        cut, self.size, self.end = self.size - size, size, end
        if cut:
            os.ftruncate(self.file, size)
            os.fsync(self.file)
        return cut

    def append(self, frame: bytes, end: int) -> None:
        """Append a frame; the file is as before if that fails.

        Raises:
            OSError: the disk is full or broken.
        """
        try:
            _write_all(self.file, frame, self.size)
        except BaseException:
            os.ftruncate(self.file, self.size)
            raise
        self.size, self.end = self.size + len(frame), end

    def frames(self, offset: int) -> Iterator[StoredFrame]:
        """Yield the frames from an offset, up to the first damaged one."""
        while offset < self.size:
            frame = self.frame(offset)
            if frame is None:
                return
            yield frame
            offset += len(frame.data)

    def frame(self, offset: int) -> StoredFrame | None:
        """Return the frame at an offset, or None if it is damaged."""
        heads = os.pread(self.file, _HEADS_BYTES, offset)
        size = self._frame_size(heads, offset)
        if size is None:
            return None
        data = os.pread(self.file, size, offset)
        if len(data) < size or not _is_whole(data):
            return None
        first, _, count = _DATA_HEAD.unpack_from(data, HEADER.size)
        return StoredFrame(first, first + count, data)

    def skip_to(self, sequence: int) -> int:
        """Return the offset of the frame with a sample; reads the heads of the frames before."""
        offset = SEGMENT_HEAD_BYTES
        while offset < self.size:
            heads = os.pread(self.file, _HEADS_BYTES, offset)
            size = self._frame_size(heads, offset)
            if size is None:
                break
            first, _, count = _DATA_HEAD.unpack_from(heads, HEADER.size)
            if first + count > sequence:
                break
            offset += size
        return offset

    def sync(self) -> None:
        """Wait until the disk has everything.

        Raises:
            OSError: the disk is broken.
        """
        os.fsync(self.file)

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)

    def remove(self) -> None:
        """Close and delete the file."""
        os.close(self.file)
        self.path.unlink(missing_ok=True)

    def _frame_size(self, heads: bytes, offset: int) -> int | None:
        if len(heads) < _HEADS_BYTES:
            return None
        _, _, kind, length, _ = HEADER.unpack_from(heads)
        size = HEADER.size + int(length)
        fits = kind == FrameType.DATA and _HEADS_BYTES <= size <= self.size - offset
        return size if fits else None


def _is_whole(frame: bytes) -> bool:
    *_, checksum = HEADER.unpack_from(frame)
    return bool(extend(crc32c(frame[:8]), frame[HEADER.size :]) == checksum)


def _write_all(file: int, data: bytes, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(file, data[done:] if done else data, offset + done)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
