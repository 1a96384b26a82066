"""The seam between cameras and the ways of fetching their frames."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from schemas.cameras import CameraFailure


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, whole and encoded (JPEG or PNG).

    Attributes:
        image: of a video, reduced so that the wanted part keeps about 640 pixels.
        at: when it was received, on ``time.monotonic``, in seconds.
    """

    image: bytes
    at: float


class SourceFailed(Exception):
    """There is no frame. The message is for people, without credentials or query of the URL."""

    def __init__(self, reason: CameraFailure, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Parameters of a source.

    Attributes:
        url: without credentials.
        every_seconds: interval of frames; sources skip those that nobody needs.
        part: share of the width and height that is wanted, (0, 1]: how far a video may be reduced.
        max_bytes: of one frame.
        timeout: seconds to resolve a name and to open, and the longest between two pieces of data;
            see ``silence.py`` for less.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    every_seconds: float = 1.0
    part: float = 1.0
    max_bytes: int = 20 * 2**20
    timeout: float = 5.0


class Source(Protocol):
    """Opens the frames of a camera; the newest frame, at most one each ``every_seconds``.

    Raises:
        SourceFailed: on opening, or from the iterator, when there are no more frames. The caller
            opens the source again after a pause.
    """

    def open(self, spec: SourceSpec) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        """Open the frames of one camera."""
        ...
