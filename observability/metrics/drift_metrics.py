"""Prometheus metrics of drift."""

from __future__ import annotations

import os
from contextlib import suppress

from prometheus_client import CollectorRegistry, Gauge

from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER
from schemas.drift import DriftVerdict, Quantity, SourceDrift


class DriftMetrics:
    """The series of drift: of each version and source that answers have been recorded of."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # Series in files that processes share cannot be removed.
        self._is_shared = MULTIPROCESS_FOLDER in os.environ
        labels = ["model", "version", "source"]
        self._psi = Gauge(
            "potoo_drift_psi",
            "Population stability index of recent answers against the reference.",
            [*labels, "quantity"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._drifted = Gauge(
            "potoo_drifted",
            "1 while recent answers have drifted from the reference, more than by chance.",
            labels,
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._answers = Gauge(
            "potoo_drift_answers",
            "Answers within the window that is compared.",
            labels,
            multiprocess_mode="livesum",
            registry=registry,
        )

    def show(self, model: str, version: int, source: str, drift: SourceDrift) -> None:
        """Set the series of a version and source."""
        labels = model, str(version), source
        self._answers.labels(*labels).set(drift.answers)
        self._drifted.labels(*labels).set(drift.verdict is DriftVerdict.DRIFTED)
        for one in drift.quantities:
            if one.psi is not None:
                self._psi.labels(*labels, one.quantity.value).set(one.psi)

    def forget(self, model: str, version: int, source: str) -> None:
        """Remove the series of a version that is not served any more."""
        labels = model, str(version), source
        self._drifted.labels(*labels).set(0)
        if self._is_shared:
            return
        for gauge in (self._answers, self._drifted):
            gauge.remove(*labels)
        for quantity in Quantity:
            with suppress(KeyError):
                self._psi.remove(*labels, quantity.value)
