"""The frames of a stream that are not answered yet, in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from service.transport.http.stream.session.actions import Frame

LATEST_RUNNING = 1
"""Frames in progress in mode ``latest``: a second one would be answered later, not sooner."""


class FrameQueue:
    """Frames in order of arrival; those in front leave as soon as their outcome is known.

    In mode ``all`` every frame starts at once. In mode ``latest`` one is in progress and one waits;
    a newer frame replaces the one that waits.
    """

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: Frame) -> Frame | None:
        """Add a frame; return the waiting one that it replaces, which leaves the queue."""
        replaced = None
        if frame.outcome is None and frame.options.mode == "latest":
            replaced = next((one for one in self._frames if _waits(one)), None)
            if replaced is not None:
                self._frames.remove(replaced)
        self._frames.append(frame)
        return replaced

    def start(self) -> Iterator[Frame]:
        """Yield the frames to start now, marked as running."""
        running = sum(one.is_running and one.outcome is None for one in self._frames)
        for frame in self._frames:
            if _waits(frame) and (frame.options.mode == "all" or running < LATEST_RUNNING):
                frame.is_running = True
                running += 1
                yield frame

    def leave(self) -> Iterator[Frame]:
        """Yield the frames in front whose outcome is known; they leave the queue."""
        while self._frames and self._frames[0].outcome is not None:
            yield self._frames.popleft()

    def clear(self) -> list[Frame]:
        """Empty the queue; return what was in it."""
        left = list(self._frames)
        self._frames.clear()
        return left


def _waits(frame: Frame) -> bool:
    return not frame.is_running and frame.outcome is None
