"""State of a camera in the watching process."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from schemas.cameras import CameraAnswer, CameraFailure, CameraProblem, CameraStatus
from service.cameras.sources.source import Frame
from service.cameras.store.reports import CameraReport

OF_FRAMES = frozenset({CameraFailure.NOT_AN_IMAGE, CameraFailure.TOO_LARGE, CameraFailure.MODEL})
"""Failures that a further frame does not mend, only an answer."""


def now() -> datetime:
    """Return the time of day, UTC."""
    return datetime.now(UTC)


class Live:
    """State of a watched camera; changed by its watcher alone.

    Attributes:
        frame: the last one, as the source gave it.
        is_silent: whether frames stopped.
    """

    def __init__(self, *, state: str | None, since: datetime | None, is_silent: bool) -> None:
        self.state, self.since, self.is_silent = state, since, is_silent
        self.frame: Frame | None = None
        self.frame_at: datetime | None = None
        self.answer: CameraAnswer | None = None
        self.motion: float | None = None
        self.frames = self.classified = 0
        self.problem: CameraProblem | None = None

    def take(self, frame: Frame) -> datetime:
        """Note a frame; return when it was received, by the time of day."""
        self.frame, self.frames = frame, self.frames + 1
        age = max(0.0, time.monotonic() - frame.at)
        self.frame_at = datetime.fromtimestamp(time.time() - age, UTC)
        if self.problem is not None and self.problem.reason not in OF_FRAMES:
            self.problem = None
        return self.frame_at

    def take_answer(self, answer: CameraAnswer) -> None:
        """Note an answer."""
        self.answer, self.classified, self.problem = answer, self.classified + 1, None

    def fail(self, reason: CameraFailure, detail: str) -> None:
        """Note a failed attempt."""
        attempts = 1 if self.problem is None else self.problem.attempts + 1
        self.problem = CameraProblem(reason=reason, detail=detail, at=now(), attempts=attempts)

    @property
    def status(self) -> CameraStatus:
        """Whether frames arrive."""
        if self.is_silent:
            return CameraStatus.SILENT
        return CameraStatus.STARTING if self.frame is None else CameraStatus.WATCHING

    def report(self) -> CameraReport:
        """Return a copy for other processes."""
        return CameraReport(
            status=self.status,
            state=self.state,
            since=self.since,
            answer=self.answer,
            last_frame_at=self.frame_at,
            motion=self.motion,
            frames=self.frames,
            classified=self.classified,
            problem=self.problem,
        )

    @property
    def headline(self) -> tuple[object, ...]:
        """The values whose change writes a report that no other process asks for."""
        model = self.answer and (self.answer.model, self.answer.version)
        return self.status, self.state, self.problem and self.problem.reason, model
