"""A bounded queue of samples on disk.

Why files that are only appended to, and no database: a write is one sequential write of the frame
that is sent later without a copy, dropping the oldest samples is deleting a file, and a power
failure damages nothing but the end of the newest file, which a checksum finds.

What survives: the end of the process (kill -9) never loses a sample that ``append`` took. A power
failure loses the samples after the last ``sync``. Only synced samples are sent if the owner reads
up to ``synced``: then no sequence number is used twice, whatever fails.
"""

from __future__ import annotations

import fcntl
import os
import time
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path
from typing import Final

from client.sensors.errors import QueueError, QueueInUse, QueueMismatch, QueueWriteFailed
from client.sensors.queue.samples import renumbered
from client.sensors.queue.segment import SEGMENT_HEAD_BYTES, SUFFIX, Segment, StoredFrame
from schemas.sensor_wire.messages import data_of, encode
from schemas.sensor_wire.packing import FLOAT, Packing, Samples

DEFAULT_MAX_BYTES: Final = 64 * 2**20
LEAST_MAX_BYTES: Final = 2**20
FRAME_SAMPLE_BYTES: Final = 32 * 2**10
"""Bytes of samples in a frame at most, but one sample at least."""
_SEGMENTS = 16
"""A full queue drops about so much of itself at a time: one part in 16."""
_RESTARTING = "restarting"
_MICROSECONDS = 1_000_000


class DiskQueue:
    """Numbers samples, and keeps them until ``confirm``. Not safe for use by two threads at once.

    Attributes:
        epoch: identifies this life of the queue; milliseconds since 1970 at its creation.
        next_sequence: of the sample that is appended next.
        synced: samples below it are on disk.
        began: ``next_sequence`` when the queue was opened.
        dropped: samples that were lost since then: the queue was full, or a file was damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        channels: int,
        max_bytes: int = DEFAULT_MAX_BYTES,
        packing: Packing = Packing.PLAIN,
    ) -> None:
        """Open or create the queue in a folder.

        Args:
            channels: numbers in a sample.
            max_bytes: of all files, at least 1 MiB; beyond it the oldest samples are dropped.
            packing: of the samples, on disk and on the way.

        Raises:
            QueueInUse: another process has it open.
            QueueMismatch: it holds samples with another number of channels.
            QueueWriteFailed: the folder cannot be written.
        """
        self._folder, self._channels, self._packing = folder, channels, packing
        self._max_bytes = max(max_bytes, LEAST_MAX_BYTES)
        self._segment_bytes = self._max_bytes // _SEGMENTS
        self._per_frame = max(1, FRAME_SAMPLE_BYTES // (FLOAT.itemsize * channels))
        self._segments: list[Segment] = []
        self._at: tuple[int, Segment, int] | None = None  # sequence, segment and offset read next
        self._confirmed = 0
        self.dropped = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder / "lock")
            try:
                self._recover()
            except BaseException:
                self._close_files()
                raise
        except OSError as error:
            raise QueueWriteFailed(f"the queue cannot be opened: {error}") from error
        self.began = self.next_sequence

    @property
    def epoch(self) -> int:
        """See the class."""
        return self._segments[-1].epoch

    @property
    def next_sequence(self) -> int:
        """See the class."""
        return self._segments[-1].end

    @property
    def first_sequence(self) -> int:
        """Of the oldest sample that is kept."""
        return self._segments[0].first

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(segment.size for segment in self._segments)

    def append(self, values: Samples, at: float | None = None) -> range:
        """Append samples.

        Args:
            values: shape [n, channels].
            at: time of the first one, seconds since 1970.

        Returns:
            Their sequence numbers.

        Raises:
            QueueWriteFailed: the disk is full or broken; samples from the new ``next_sequence`` on
                were not appended.
        """
        first = self.next_sequence
        time_us = 0 if at is None else round(at * _MICROSECONDS)
        for start in range(0, len(values), self._per_frame):
            part = values[start : start + self._per_frame]
            # The time of a later part is unknown: the queue does not know the rate.
            time_of_part = 0 if start else time_us
            frame = encode(
                data_of(first + start, part, time_us=time_of_part, packing=self._packing)
            )
            self._make_room(len(frame))
            self._write(frame, first + start + len(part))
        return range(first, first + len(values))

    def sync(self) -> int:
        """Wait until the disk has everything that was appended; return the new ``synced``.

        Raises:
            QueueWriteFailed: the disk is broken.
        """
        end = self.next_sequence
        try:
            self._segments[-1].sync()
        except OSError as error:
            raise QueueWriteFailed(f"the queue cannot be synced: {error}") from error
        self.synced = end
        return end

    def read(self, sequence: int, *, below: int, max_bytes: int) -> list[StoredFrame]:
        """Return frames in order: from the one with a sample to the one that reaches ``below``.

        If the sample was dropped, frames begin with the oldest one that is kept. Fastest where
        the last call ended.

        Args:
            max_bytes: of the frames together, but one frame at least.

        Raises:
            QueueError: the disk is broken.
        """
        try:
            return self._read(sequence, below, max_bytes)
        except OSError as error:
            raise QueueError(f"the queue cannot be read: {error}") from error

    def _read(self, sequence: int, below: int, max_bytes: int) -> list[StoredFrame]:
        frames: list[StoredFrame] = []
        size = 0
        while size < max_bytes and sequence < min(below, self.next_sequence):
            segment, offset = self._find(sequence)
            frame = segment.frame(offset) if offset < segment.size else None
            if frame is None:
                sequence = self._skip(segment, max(sequence, segment.first))
                continue
            if frame.first >= below or (frames and size + len(frame.data) > max_bytes):
                break
            frames.append(frame)
            size += len(frame.data)
            sequence = frame.end
            self._at = (sequence, segment, offset + len(frame.data))
        return frames

    def confirm(self, safe: int) -> None:
        """Delete the files whose samples are all below ``safe``; the newest one is kept."""
        self._confirmed = max(self._confirmed, safe)
        while self.can_drop(safe):
            self._remove_oldest()

    def can_drop(self, safe: int) -> bool:
        """Return whether ``confirm`` would delete a file."""
        return len(self._segments) > 1 and self._segments[0].end <= safe

    def restart(self) -> None:
        """Begin another epoch with the samples that were appended since the queue was opened.

        For a queue whose newest samples the disk lost although the server has them: samples that
        were appended since then carry numbers that the server knows already.

        Raises:
            QueueWriteFailed: the disk is full or broken.
        """
        old, began, mark = list(self._segments), self.began, self._folder / _RESTARTING
        epoch = max(_now_ms(), self.epoch + 1)
        try:
            mark.touch()
            self._segments = [Segment.create(self._folder, self._channels, epoch, 0)]
            for segment in old:
                for frame in segment.frames(SEGMENT_HEAD_BYTES):
                    if frame.end > began:
                        self._write(renumbered(frame, began), frame.end - began)
            self._segments[-1].sync()
            mark.unlink()
        except OSError as error:
            raise QueueWriteFailed(f"the queue cannot be written: {error}") from error
        self._confirmed, self.began, self.synced, self._at = 0, 0, self.next_sequence, None
        for segment in old:
            segment.remove()

    def close(self) -> None:
        """Sync and close the files; the samples stay for the next life."""
        try:
            self.sync()
        finally:
            self._close_files()

    def _recover(self) -> None:
        opened = [Segment.open(path) for path in sorted(self._folder.glob(f"*{SUFFIX}"))]
        found = [segment for segment in opened if segment is not None]
        if found and found[-1].channels != self._channels:
            for segment in found:
                segment.close()
            message = f"the queue holds samples of {found[-1].channels} channels"
            raise QueueMismatch(message)
        mark = self._folder / _RESTARTING
        if found:
            # A restart that was interrupted: its copy is not complete while the mark is there.
            epochs = {segment.epoch for segment in found}
            kept = min(epochs) if mark.exists() else max(epochs)
            for segment in [one for one in found if one.epoch != kept]:
                segment.remove()
                found.remove(segment)
        mark.unlink(missing_ok=True)
        self._segments = found
        for segment, following in pairwise(found):
            segment.end = following.first
        if found:
            found[-1].recover()
        else:
            found.append(Segment.create(self._folder, self._channels, _now_ms(), 0))
        self.synced = self.next_sequence

    def _write(self, frame: bytes, end: int) -> None:
        """Append to the newest segment; begin another one when it is full."""
        newest = self._segments[-1]
        try:
            if newest.size > SEGMENT_HEAD_BYTES and newest.size + len(frame) > self._segment_bytes:
                newest.sync()
                self.synced = newest.end
                newest = Segment.create(self._folder, self._channels, newest.epoch, newest.end)
                self._segments.append(newest)
            newest.append(frame, end)
        except OSError as error:
            raise QueueWriteFailed(f"the queue cannot be written: {error}") from error

    def _make_room(self, size: int) -> None:
        while len(self._segments) > 1 and self.size + size > self._max_bytes:
            oldest = self._segments[0]
            self.dropped += max(0, oldest.end - max(oldest.first, self._confirmed))
            self._remove_oldest()

    def _remove_oldest(self) -> None:
        oldest = self._segments.pop(0)
        if self._at is not None and self._at[1] is oldest:
            self._at = None
        oldest.remove()

    def _find(self, sequence: int) -> tuple[Segment, int]:
        """Return where the frame with a sample is, or the oldest one."""
        if self._at is not None and self._at[0] == sequence:
            _, segment, offset = self._at
            if offset < segment.size:
                return segment, offset
        place = bisect_right(self._segments, sequence, key=lambda segment: segment.first) - 1
        segment = self._segments[max(place, 0)]
        return segment, segment.skip_to(sequence)

    def _skip(self, segment: Segment, sequence: int) -> int:
        """Give up the rest of a damaged segment; return the sequence to go on with."""
        self.dropped += max(0, segment.end - sequence)
        if segment is self._segments[-1]:
            # Later samples are written to another file.
            self._segments.append(
                Segment.create(self._folder, self._channels, segment.epoch, segment.end)
            )
        return segment.end

    def _close_files(self) -> None:
        for segment in self._segments:
            segment.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise QueueInUse(f"another process uses the queue in {path.parent}") from None
    return file


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
