"""Windows through the model, with the sensor as the caller."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from schemas.classify import Prediction
from schemas.errors import CapacityError, NotReady, ServiceError, Unsupported
from schemas.sensors import SensorFault, SensorSpec
from schemas.trusted import trusted
from service.coordination.agreement import FrameAnswer, best_of
from service.coordination.tables import MAX_STATE_CHARS
from service.core.imaging.answer import LabelledAnswer
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.series.preprocessing import NotFinite
from service.core.serving.classification import Ranking
from service.core.serving.classifier import Classifier
from service.core.serving.ticket import Ticket

PROTOCOL = "sensor"
PRIORITY = Priority.BULK
"""Sensors wait behind callers, who wait for an answer; they get a share at any load."""
BEST = 3
ASKED = 100
"""Predictions that are asked for: the state holds by the score of its label, which may be low."""


class Verdict(NamedTuple):
    """The model's answer for one window.

    Attributes:
        vote: for the state.
        predictions: best first, at most ``BEST``.
    """

    vote: FrameAnswer
    predictions: list[Prediction]
    model: str
    version: int


class Line(Protocol):
    """The way of one sensor's windows to its model."""

    @property
    def group(self) -> Hashable:
        """Windows of lines with the same group may be classified together."""

    async def classify(self, values: NDArray[np.float32]) -> Verdict:
        """Classify a window of shape [length, channels].

        Raises:
            InvalidTensor, InferenceFailed: the window is at fault, or the model.
            ServiceError: others pass.
        """

    async def classify_each(
        self, lines: Sequence[Line], windows: Sequence[NDArray[np.float32]]
    ) -> Sequence[Verdict | ServiceError]:
        """Classify windows of lines of this group; each has its answer or its error.

        Args:
            lines: one for each window.

        Raises:
            ServiceError: one for all windows; see ``classify``.
        """


class Models(Protocol):
    """The seam between channels and the models."""

    def length_of(self, spec: SensorSpec) -> int:
        """Return the number of samples in a window.

        Raises:
            ModelNotFound, NotReady: the model is not loaded.
            Unsupported: the model takes images, or other windows.
        """

    def line(self, sensor: str, spec: SensorSpec, principal: Principal | None) -> Line:
        """Return the way of a sensor's windows to its model."""


class CoreModels:
    """The server's own models; implements ``Models``."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def length_of(self, spec: SensorSpec) -> int:
        """See ``Models``."""
        series = self._classifier.series_spec(spec.model)
        if spec.channels != series.channels or spec.window not in {None, series.length}:
            message = f"The model '{spec.model}' takes windows of {series.length} samples"
            message += f" with {series.channels} channels, and the sensor sends others."
            raise Unsupported(message)
        return series.length

    def line(self, sensor: str, spec: SensorSpec, principal: Principal | None) -> Line:
        """See ``Models``. Sensors of one principal share its turns in the queue."""
        owner = f"sensor:{sensor}" if principal is None else principal.name
        weight = 1 if principal is None else principal.weight
        return _CoreLine(
            self._classifier, spec.model, CallContext(owner, weight, PROTOCOL, PRIORITY)
        )


class _CoreLine:
    """Keeps a ticket: the classifier resolves its model again after a change."""

    def __init__(self, classifier: Classifier, model: str, call: CallContext) -> None:
        self._classifier, self.group, self._call = classifier, model, call
        self._ticket: Ticket | None = None

    @property
    def ticket(self) -> Ticket:
        ticket = self._ticket
        if ticket is None:
            ticket = self._ticket = self._classifier.issue_ticket(self.group, None, self._call)
        return ticket

    async def classify(self, values: NDArray[np.float32]) -> Verdict:
        ref, found = await self._classifier.classify_series(values, self.ticket, top_k=ASKED)
        return verdict_of(ref.name, ref.version, found)

    async def classify_each(
        self, lines: Sequence[Line], windows: Sequence[NDArray[np.float32]]
    ) -> Sequence[Verdict | ServiceError]:
        tickets = [cast("_CoreLine", line).ticket for line in lines]
        ref, found = await self._classifier.classify_series_each(windows, tickets, top_k=ASKED)
        return [
            one if isinstance(one, ServiceError) else _verdict(ref.name, ref.version, one)
            for one in found
        ]


class _Scores(Mapping[str, float]):
    """The scores of a ranking by label. Most are never looked up."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking

    def __getitem__(self, label: str) -> float:
        score = self._ranking.score_of(label)
        if score is None:
            raise KeyError(label)
        return score

    def __iter__(self) -> Iterator[str]:
        return (self._ranking.labels[index] for index in self._ranking.indices)

    def __len__(self) -> int:
        return len(self._ranking.indices)


def _verdict(model: str, version: int, ranking: Ranking) -> Verdict:
    """Return a ranking as a vote and as predictions for people; see ``best_of``."""
    label, score, summary = None, 0.0, ranking.summary
    if summary is not None:
        label, score = summary.label[:MAX_STATE_CHARS], summary.score
    elif ranking.present:
        best = ranking.labels[ranking.present[0]]
        label, score = best[:MAX_STATE_CHARS], ranking.score_of(best) or 0.0
    vote = FrameAnswer(label, score, _Scores(ranking))
    labels, offset = ranking.labels, ranking.offset
    shown = [
        trusted(
            Prediction,
            {"label": labels[index], "index": index + offset, "score": round(score, 6)},
        )
        for index, score in zip(ranking.indices[:BEST], ranking.scores, strict=False)
    ]
    return Verdict(vote, shown, model, version)


def verdict_of(model: str, version: int, found: LabelledAnswer) -> Verdict:
    """Return an answer of the core as a vote and as predictions for people."""
    best = best_of(found)
    vote = FrameAnswer(
        best.label if best else None,
        best.score if best else 0.0,
        {one.label: one.score for one in found.predictions},
    )
    shown = [
        Prediction(label=one.label, index=one.index, score=one.score)
        for one in found.predictions[:BEST]
    ]
    return Verdict(vote, shown, model, version)


def fault_of(error: ServiceError) -> SensorFault:
    """Return why a window has no answer, or waits for one."""
    if isinstance(error, NotFinite):
        return SensorFault.NOT_FINITE
    if isinstance(error, CapacityError) and not isinstance(error, NotReady):
        return SensorFault.OVERLOADED
    return SensorFault.MODEL
