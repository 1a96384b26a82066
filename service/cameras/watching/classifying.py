"""Frames through the worker pool and the model, with the camera as the caller."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

from schemas.cameras import CameraAnswer, CameraFailure, CameraSpec, Crop
from schemas.classify import Prediction
from schemas.errors import (
    CapacityError,
    ImageTooLarge,
    InvalidImage,
    NotReady,
    ServiceError,
    UnsupportedImage,
)
from service.cameras.pipeline import pictures
from service.cameras.pipeline.pictures import Prepared
from service.cameras.watching.live import now
from service.coordination.agreement import FrameAnswer, best_of
from service.core.engine.fair_queue import Flow, Turn
from service.core.engine.pool import WorkerPool
from service.core.imaging.image_limits import ImageLimits
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import SHARES, Priority
from service.core.serving.classifier import Classifier

PROTOCOL = "camera"
PRIORITY = Priority.BULK
"""Cameras wait behind callers, who are people or machines that wait for an answer."""
BEST = 3
ASKED = 100
"""Predictions that are asked for: the state holds by the score of its label, which may be low."""


class Answered(NamedTuple):
    """Answer for one frame, and the seconds of work that it took."""

    answer: FrameAnswer
    shown: CameraAnswer
    seconds: float


class FrameClassifier(Protocol):
    """The seam between a watcher and the models."""

    async def prepare(
        self, camera: str, frame: bytes, crop: Crop | None, *, has_gate: bool
    ) -> Prepared:
        """Cut out the part and the grey copy. Raises ``ServiceError``."""

    async def classify(self, camera: str, image: bytes, model: str | None) -> Answered:
        """Classify a part. Raises ``ServiceError``."""

    async def preview(self, camera: str, frame: bytes) -> bytes:
        """Return a small JPEG. Raises ``ServiceError``."""


class PooledClassifier:
    """Frames on the server's own threads and models; implements ``FrameClassifier``."""

    def __init__(self, pool: WorkerPool, classifier: Classifier, limits: ImageLimits) -> None:
        self._pool, self._classifier, self._limits = pool, classifier, limits
        self._flow = Flow()

    async def prepare(
        self, camera: str, frame: bytes, crop: Crop | None, *, has_gate: bool
    ) -> Prepared:
        """Cut out the part and the grey copy on a worker thread."""
        if crop is None and not has_gate:
            return Prepared(frame, None, 0.0)
        work = partial(pictures.prepare, frame, crop, self._limits, has_gate=has_gate)
        return await self._pool.run(work, self._turn(camera))

    async def classify(self, camera: str, image: bytes, model: str | None) -> Answered:
        """Classify a part, in the camera's turn among other callers."""
        call = CallContext(owner(camera), 1, PROTOCOL, PRIORITY)
        ticket = self._classifier.issue_ticket(model, None, call)
        ref, found = await self._classifier.classify(image, ticket, top_k=ASKED)
        best, timing = best_of(found), found.timing
        shown = CameraAnswer(
            label=best.label if best else None,
            score=best.score if best else None,
            predictions=[
                Prediction(label=one.label, index=one.index, score=one.score)
                for one in found.predictions[:BEST]
            ],
            model=ref.name,
            version=ref.version,
            at=now(),
        )
        answer = FrameAnswer(
            best.label if best else None,
            best.score if best else 0.0,
            {one.label: one.score for one in found.predictions},
        )
        return Answered(answer, shown, (timing.decode_ms + timing.inference_ms) / 1000)

    async def preview(self, camera: str, frame: bytes) -> bytes:
        """Return a small JPEG, made on a worker thread."""
        work = partial(pictures.preview, frame, self._limits)
        return await self._pool.run(work, self._turn(camera))

    def _turn(self, camera: str) -> Turn:
        return Turn(self._flow, owner(camera), weight=1, share=SHARES[PRIORITY])


def owner(camera: str) -> str:
    """Return the name of a camera as a caller."""
    return f"camera:{camera}"


def failure_of(error: ServiceError) -> CameraFailure | None:
    """Return why a frame has no answer; None if the server is only busy."""
    if isinstance(error, (UnsupportedImage, InvalidImage)):
        return CameraFailure.NOT_AN_IMAGE
    if isinstance(error, ImageTooLarge):
        return CameraFailure.TOO_LARGE
    if isinstance(error, CapacityError) and not isinstance(error, NotReady):
        return None
    return CameraFailure.MODEL


def part_of(spec: CameraSpec) -> float:
    """Return the share of width and height that the crop leaves: the smaller of the two."""
    return 1.0 if spec.crop is None else min(spec.crop.width, spec.crop.height)
