"""The Prometheus metrics of models, by the rules of ``metrics``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from observability.metrics.tallies import LatestGauge, TalliedCounter, TalliedHistogram

STAGE_BUCKETS = (
    *(0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125),
    *(0.25, 0.5, 1.0, 2.5, 10.0),
)
LOAD_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
STAGES = ("decode", "preprocess", "queue", "inference", "postprocess")
PROTOCOLS = (
    *("http", "websocket", "camera", "sensor", "v2", "grpc"),
    *("kserve_v1", "tf_serving", "torchserve", "predict"),
)
"""Protocols of predictions: ``/v1``, cameras, sensors, Open Inference Protocol over HTTP, gRPC,
drop-ins."""


class ModelSeries(NamedTuple):
    """The series of one model."""

    stages: dict[str, TalliedHistogram]
    batch_size: Histogram
    queue_depth: Gauge
    info: Gauge
    predictions: Callable[[str], Counter]
    abstentions: Counter
    reject: Callable[[str], None]


class LifeSeries(NamedTuple):
    """The series of one model's life cycle, over all its versions."""

    ready: Gauge
    load_duration: Histogram
    load_failures: Counter
    state: Callable[[int, str], Gauge]


class ModelMetrics:
    """The metrics of all models of one process."""

    def __init__(self, registry: CollectorRegistry, reject: Callable[[str], None]) -> None:
        """``reject``: counts refused work by reason."""
        self._reject = reject
        self._stage = TalliedHistogram(
            "potoo_stage_duration_seconds",
            "Time of one image in one stage.",
            ["model", "stage"],
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._batch_size = TalliedHistogram(
            "potoo_batch_size",
            "Images run together.",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self._queue_depth = LatestGauge(
            "potoo_queue_depth",
            "Images accepted and not yet answered.",
            ["model"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._ready = Gauge(
            "potoo_model_ready",
            "1 while the default version is warm and its canary passes.",
            ["model"],
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._info = Gauge(
            "potoo_model_info",
            "1 for every model loaded.",
            ["model", "version", "sha256", "provider", "precision"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._version_state = Gauge(
            "potoo_model_version_state",
            "1 for the state that a version is in.",
            ["model", "version", "state"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._load_duration = Histogram(
            "potoo_model_load_duration_seconds",
            "To load, check and warm up one version.",
            ["model"],
            buckets=LOAD_BUCKETS,
            registry=registry,
        )
        self._load_failures = Counter(
            "potoo_model_load_failures",
            "Versions that could not be loaded or failed a check.",
            ["model"],
            registry=registry,
        )
        self._predictions = TalliedCounter(
            "potoo_predictions",
            "Images classified, and items of tensors run.",
            ["model", "protocol"],
            registry=registry,
        )
        self._abstentions = TalliedCounter(
            "potoo_abstentions",
            "Images whose best score was below the threshold.",
            ["model"],
            registry=registry,
        )

    def version(
        self, name: str, version: int, sha256: str, *, provider: str = "cpu", precision: str = "f32"
    ) -> ModelSeries:
        """Return the series of a served version; ``info`` is set once it is loaded."""

        @functools.cache
        def predictions(protocol: str) -> Counter:
            return self._predictions.labels(name, protocol)

        for protocol in PROTOCOLS:
            predictions(protocol)
        return ModelSeries(
            {stage: self._stage.labels(name, stage) for stage in STAGES},
            self._batch_size.labels(name),
            self._queue_depth.labels(name),
            self._info.labels(name, str(version), sha256, provider, precision),
            predictions,
            self._abstentions.labels(name),
            self._reject,
        )

    def life(self, name: str) -> LifeSeries:
        """Return the series of a model's life cycle."""
        return LifeSeries(
            self._ready.labels(name),
            self._load_duration.labels(name),
            self._load_failures.labels(name),
            lambda version, state: self._version_state.labels(name, str(version), state),
        )
