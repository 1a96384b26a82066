"""Conversion of the scores of one image or window to a labelled answer, with its timing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from schemas.errors import ServiceError
from schemas.models import ModelManifest
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    LabelledAnswer,
    Prediction,
    Summary,
    Timing,
)
from service.core.imaging.preprocessing import PreparedImage
from service.core.scheduling.batch_item import Outcome
from service.core.serving.batch_executor import RowResult


@dataclass(slots=True)
class Ranking:
    """The ranked labels for one window: a ``LabelledAnswer`` before it is spelt out.

    Attributes:
        present: indices of the labels that are present, best first; only of a multi-label model.
        indices: of labels, best first.
        scores: their calibrated probabilities.
        labels: of the model.
        offset: from the index of a label to that in the model's output.
    """

    summary: Summary | None
    present: list[int] | None
    indices: list[int]
    scores: list[float]
    labels: Sequence[str]
    offset: int

    def predictions(self, k: int) -> list[Prediction]:
        """Return the best ``k`` classes."""
        labels, offset = self.labels, self.offset
        return [
            Prediction(labels[index], index + offset, round(score, 6))
            for index, score in zip(self.indices[:k], self.scores, strict=False)
        ]

    def score_of(self, label: str) -> float | None:
        """Return the score of a label; None if it is not ranked."""
        for index, score in zip(self.indices, self.scores, strict=True):
            if self.labels[index] == label:
                return round(score, 6)
        return None


def ranking_of(
    outcome: Outcome[RowResult] | ServiceError, labels: Sequence[str], offset: int
) -> Ranking | ServiceError:
    """Return the ranking of a window, or its error."""
    if isinstance(outcome, ServiceError):
        return outcome
    answer = outcome.answer
    return Ranking(answer.summary, answer.present, answer.indices, answer.scores, labels, offset)


def to_classification(
    outcome: Outcome[RowResult], manifest: ModelManifest, labels: Sequence[str], began: float
) -> Classification:
    """Build the classification of an image.

    Args:
        began: when the request arrived, on ``time.monotonic``, in seconds.
    """
    scored = outcome.answer
    image = cast("PreparedImage", scored.source)
    offset = manifest.output.label_offset
    return Classification(
        scored.summary,
        [
            Prediction(labels[index], index + offset, round(score, 6))
            for index, score in zip(scored.indices, scored.scores, strict=True)
        ],
        None if scored.present is None else [labels[index] for index in scored.present],
        scored.summary is None and not scored.present,
        manifest.calibration is not None,
        ImageFacts(image.format, image.width, image.height, image.is_truncated),
        Timing(
            _milliseconds(image.decode_seconds + image.preprocess_seconds),
            _milliseconds(outcome.queue_seconds),
            _milliseconds(outcome.run_seconds),
            _milliseconds(time.monotonic() - began),
        ),
    )


def to_labelled_answer(
    outcome: Outcome[RowResult], manifest: ModelManifest, labels: Sequence[str], began: float
) -> LabelledAnswer:
    """Build the answer for a window of samples; see ``to_classification``."""
    scored, offset = outcome.answer, manifest.output.label_offset
    return LabelledAnswer(
        scored.summary,
        [
            Prediction(labels[index], index + offset, round(score, 6))
            for index, score in zip(scored.indices, scored.scores, strict=True)
        ],
        None if scored.present is None else [labels[index] for index in scored.present],
        scored.summary is None and not scored.present,
        manifest.calibration is not None,
        Timing(
            _milliseconds(scored.preparing_seconds),
            _milliseconds(outcome.queue_seconds),
            _milliseconds(outcome.run_seconds),
            _milliseconds(time.monotonic() - began),
        ),
    )


def _milliseconds(seconds: float) -> float:
    """Round to the microsecond; ``round`` takes four times as long."""
    return int(seconds * 1e6 + 0.5) / 1000
