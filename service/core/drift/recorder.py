"""Records the answers of image models, and compares them with their references."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from observability.logs.logging import get_logger
from observability.metrics.drift_metrics import DriftMetrics
from schemas.drift import REFERENCE_FILE, DriftReference, DriftReport, Quantity, SourceDrift
from schemas.errors import ModelNotFound
from service.core.drift.comparison import compare, worst
from service.core.drift.window import Window
from service.core.imaging.answer import Classification
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model
from service.core.serving.registry import Registry

REQUESTS = "requests"
CAMERA = "camera"
"""Protocol, and prefix of the owner, of calls that are frames of cameras."""
MOST_SOURCES = 1000
"""Sources that are kept: more cameras than a server has."""
_MAX_REFERENCE_BYTES = 2**20


class _Key(NamedTuple):
    model: str
    version: int
    source: str


@dataclass(slots=True)
class _Recorded:
    """Answers of one version to one source; ``reference`` is None until it is known."""

    window: Window
    reference: DriftReference | None
    unknown: frozenset[str]


class DriftRecorder:
    """Counts answers by version and source. Belongs to the event loop."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        metrics: DriftMetrics,
        *,
        window_seconds: float,
        min_answers: int,
        reference_answers: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to record.

        Args:
            folder: of the repository, for the references of taught versions.
            window_seconds: length of the window of answers that are compared.
            min_answers: answers from which on a verdict is given.
            reference_answers: the first ones, which become the reference of a version without one.
            clock: seconds since the epoch.
        """
        self._registry, self._folder, self._metrics = registry, folder, metrics
        self._seconds, self._least, self._first = window_seconds, min_answers, reference_answers
        self._clock = clock
        self._recorded: dict[_Key, _Recorded] = {}
        self._references: dict[tuple[str, int], DriftReference | None] = {}

    def answered(
        self, model: Model, image: bytes, answer: Classification, call: CallContext
    ) -> None:
        """Count an answer."""
        del image
        source = call.owner if call.protocol == CAMERA else REQUESTS
        key = _Key(model.ref.name, model.ref.version, source)
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = self._begin(key, model)
            if recorded is None:
                return
        now = self._clock()
        recorded.window.count(_values(answer, recorded.unknown), now)
        if recorded.reference is None:
            counts = recorded.window.counts(now)
            answers = sum(counts[Quantity.ABSTAINED])
            if answers >= self._first:
                reference = DriftReference(source="live", answers=answers, counts=counts)
                recorded.reference = reference
                recorded.window = Window(self._seconds, now)

    def report(self, name: str) -> DriftReport:
        """Return how the answers of a model are spread, by version and source.

        Raises:
            ModelNotFound: no such model.
        """
        if name not in self._registry.names():
            raise ModelNotFound
        found = [
            self._compare(key, recorded)
            for key, recorded in sorted(self._recorded.items())
            if key.model == name and self._is_served(key)
        ]
        return DriftReport(model=name, sources=found)

    def measure(self) -> None:
        """Set the metrics, and forget versions that are not served any more."""
        for key, recorded in list(self._recorded.items()):
            if not self._is_served(key):
                del self._recorded[key]
                self._references.pop((key.model, key.version), None)
                self._metrics.forget(*key)
                continue
            self._metrics.show(*key, self._compare(key, recorded))

    def _compare(self, key: _Key, recorded: _Recorded) -> SourceDrift:
        counts = recorded.window.counts(self._clock())
        reference = recorded.reference
        quantities = []
        if reference is not None:
            quantities = [
                compare(quantity, counts[quantity], reference, least=self._least)
                for quantity in Quantity
                if quantity in counts and quantity in reference.counts
            ]
        return SourceDrift(
            version=key.version,
            source=key.source,
            verdict=worst(quantities),
            reference="none" if reference is None else reference.source,
            answers=sum(counts.get(Quantity.ABSTAINED, ())),
            since=datetime.fromtimestamp(recorded.window.since, UTC),
            quantities=quantities,
        )

    def _begin(self, key: _Key, model: Model) -> _Recorded | None:
        if len(self._recorded) >= MOST_SOURCES:
            return None
        taught = key.model, key.version
        if taught not in self._references:
            self._references[taught] = self._read_reference(key)
        unknown = frozenset(model.manifest.unnamed if model.manifest.base else ())
        window = Window(self._seconds, self._clock())
        recorded = self._recorded[key] = _Recorded(window, self._references[taught], unknown)
        return recorded

    def _read_reference(self, key: _Key) -> DriftReference | None:
        """Return the reference that a version was published with; a small file, read once."""
        path = self._folder / key.model / str(key.version) / REFERENCE_FILE
        try:
            with path.open("rb") as file:
                return DriftReference.model_validate_json(file.read(_MAX_REFERENCE_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log = get_logger("models").bind(model=key.model, version=key.version)
            log.warning("the reference of drift cannot be read", reason=str(error).split("\n")[0])
            return None

    def _is_served(self, key: _Key) -> bool:
        version = self._registry.version(key.model, key.version)
        return version is not None and version.model is not None


def _values(answer: Classification, unknown: frozenset[str]) -> dict[Quantity, float]:
    """Return the figures of an answer. Labels beyond the asked ones count as 0."""
    score = foreign = 0.0
    for one in answer.predictions:
        if one.label in unknown:
            foreign = one.score
        elif score == 0.0:
            score = one.score
    values = {Quantity.SCORE: score, Quantity.ABSTAINED: float(answer.abstained)}
    if unknown:
        values[Quantity.UNKNOWN] = foreign
    return values
