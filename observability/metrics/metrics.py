"""All Prometheus metrics but those of single parts, such as models or cameras (``*_metrics``).

Names follow the Prometheus conventions: base units, ``_total`` on counters, bounded labels only
(route templates, names of served models, error codes; never free text of a caller).
Known label sets are created at start, so that ``rate()`` sees the first event.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from observability.metrics.camera_metrics import CameraMetrics
from observability.metrics.drift_metrics import DriftMetrics
from observability.metrics.memory import memory_limit
from observability.metrics.model_metrics import ModelMetrics
from observability.metrics.preprocess_metrics import PreprocessMetrics
from observability.metrics.result_metrics import ResultMetrics
from observability.metrics.rollout_metrics import RolloutMetrics
from observability.metrics.run_metrics import RunMetrics
from observability.metrics.sensor_metrics import SensorMetrics
from observability.metrics.stream_metrics import StreamMetrics
from observability.metrics.tallies import TalliedCounter, TalliedGauge, TalliedHistogram
from observability.metrics.teach_metrics import TeachMetrics
from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER, RESTARTS, RESTARTS_HELP

LATENCY_BUCKETS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75),
    *(1.0, 1.5, 2.5, 5.0, 10.0, 30.0),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
GRPC_SERVER_FAULTS = (
    "UNAVAILABLE",
    "INTERNAL",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
)
"""Codes that count against availability; like ``OK`` they have a series before the first RPC."""
REJECTIONS = (
    *("queue_full", "would_be_late", "deadline"),
    *("body_budget", "connections", "streams", "slow_client", "bad_http"),
    "sensor_network",
)

STORES = ("accounts", "rates")


class HttpSeries(NamedTuple):
    """The series of one route, looked up once."""

    duration: Callable[[int], Histogram]
    requests: Callable[[str, int], Counter]
    request_bytes: Counter
    response_bytes: Counter


class GrpcSeries(NamedTuple):
    """The series of one gRPC method."""

    duration: Histogram
    requests: Callable[[str], Counter]


class Metrics:
    """The metrics of one process, registered in ``registry``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # The ``_created`` series would double the number of series without benefit.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        # HTTP
        self._requests = TalliedCounter(
            "potoo_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._duration = TalliedHistogram(
            "potoo_http_request_duration_seconds",
            "From the request's headers to the end of the answer.",
            ["route", "status_class"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._request_bytes = TalliedCounter(
            "potoo_http_request_body_bytes",
            "Body bytes received.",
            ["route"],
            registry=self.registry,
        )
        self._response_bytes = TalliedCounter(
            "potoo_http_response_body_bytes", "Body bytes sent.", ["route"], registry=self.registry
        )
        self.in_flight = TalliedGauge(
            "potoo_http_requests_in_flight",
            "Requests being worked on.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        # gRPC
        self._rpcs = TalliedCounter(
            "potoo_grpc_requests",
            "RPCs ended.",
            ["method", "code"],
            registry=self.registry,
        )
        self._rpc_duration = TalliedHistogram(
            "potoo_grpc_request_duration_seconds",
            "From the RPC's start to its end; of a stream, as long as it was open.",
            ["method"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.rpcs_in_flight = TalliedGauge(
            "potoo_grpc_requests_in_flight",
            "RPCs being worked on, open streams among them.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.errors = Counter(
            "potoo_errors", "Errors answered, by error code.", ["code"], registry=self.registry
        )
        self.rejections = Counter(
            "potoo_rejections",
            "Work refused to protect the server.",
            ["reason"],
            registry=self.registry,
        )
        self.spans_dropped = Counter(
            "potoo_trace_spans_dropped",
            "Spans of traces that were lost, by reason.",
            ["reason"],
            registry=self.registry,
        )
        # Counted by the supervisor if there are several processes; else it stays 0.
        Counter(RESTARTS, RESTARTS_HELP, registry=self.registry)
        self.models = ModelMetrics(self.registry, self.reject)
        self.streams = StreamMetrics(self.registry)
        self.cameras = CameraMetrics(self.registry)
        self.sensors = SensorMetrics(self.registry)
        self.results = ResultMetrics(self.registry)
        self.preprocess = PreprocessMetrics(self.registry)
        self.teach = TeachMetrics(self.registry)
        self.rollouts = RolloutMetrics(self.registry)
        self.drift = DriftMetrics(self.registry)
        self.runs = RunMetrics(self.registry)
        # Sign-in
        self.audit_events = Counter(
            "potoo_audit_events",
            "What the security log records.",
            ["event"],
            registry=self.registry,
        )
        self.issuer_up = Gauge(
            "potoo_issuer_up",
            "1 while a trusted issuer's keys can be read.",
            ["issuer"],
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.store_failures = Counter(
            "potoo_store_failures",
            "Uses of a store that failed.",
            ["store"],
            registry=self.registry,
        )
        self.token_requests = Counter(
            "potoo_token_requests",
            "Token requests, by outcome.",
            ["grant", "outcome"],
            registry=self.registry,
        )
        self.certificate_expiry = Gauge(
            "potoo_certificate_expiry_timestamp_seconds",
            "When the certificate that a port proves itself with expires.",
            ["port"],
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._memory_limit = Gauge(
            "potoo_memory_limit_bytes",
            "What the container or the machine gives.",
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.build_info = Gauge(
            "potoo_build_info",
            "1; version, and the package that resizes images, as label.",
            ["version", "resizer"],
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        for reason in REJECTIONS:
            self.rejections.labels(reason)
        for store in STORES:
            self.store_failures.labels(store)
        for reason in ("queue_full", "not_sent"):
            self.spans_dropped.labels(reason)
        self._memory_limit.set(memory_limit())
        if MULTIPROCESS_FOLDER not in os.environ:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)

    def preset_errors(self, codes: Iterable[str]) -> None:
        """Create the error series before the first error."""
        for code in codes:
            self.errors.labels(code)

    def http(self, route: str) -> HttpSeries:
        """Return the series of a route template (one of ours, or ``unmatched``)."""

        @functools.cache
        def duration(hundreds: int) -> Histogram:
            return self._duration.labels(route, f"{hundreds}xx")

        @functools.cache
        def requests(method: str, status: int) -> Counter:
            return self._requests.labels(method, route, str(status))

        duration(2)
        duration(5)
        return HttpSeries(
            duration,
            requests,
            self._request_bytes.labels(route),
            self._response_bytes.labels(route),
        )

    def grpc(self, method: str) -> GrpcSeries:
        """Return the series of a method (``package.Service/Method``, or ``unmatched``)."""

        @functools.cache
        def requests(code: str) -> Counter:
            return self._rpcs.labels(method, code)

        for code in ("OK", *GRPC_SERVER_FAULTS):
            requests(code)
        return GrpcSeries(self._rpc_duration.labels(method), requests)

    def reject(self, reason: str) -> None:
        """Count a rejection; ``reason`` is one of ``REJECTIONS``."""
        self.rejections.labels(reason).inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all series as text: (body, content type), OpenMetrics if ``accept`` asks for it.

        With worker processes, each returns the sum over all of them.
        """
        encode, content_type = choose_encoder(accept)
        registry = self.registry
        if folder := os.environ.get(MULTIPROCESS_FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        return encode(registry), content_type


def bounded_method(method: str) -> str:
    """Return the method as a label, ``other`` for rare ones: methods are free text on the wire."""
    return method if method in METHODS else "other"
