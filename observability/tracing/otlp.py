"""Trace export by OTLP over HTTP: the only file that imports OpenTelemetry.

The SDK batches and sends on its own thread. This file adds what an operator needs: a queue bounded
by whole traces, a count of lost spans, one log line when the collector fails and another when it
recovers, and a bounded wait at a stop.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from observability.settings import ObservabilitySettings
from observability.tracing.span import Span, Trace
from observability.tracing.tracing import Parent
from schemas.operator_error import OperatorError

PATH = "/v1/traces"
QUEUE_SPANS = 4096
"""Maximum number of spans waiting to be sent; a trace that does not fit is dropped whole."""
BATCH_SPANS = 512
FLUSH_SECONDS = 1.5
"""Longest wait at a stop; the store and the models need part of the grace period too."""
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
FINE, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
QUIET_SECONDS = 60.0
"""Minimum time between two warnings about the collector."""


class OtlpSender:
    """A ``tracing.Sender``. ``send`` must be called from one thread.

    Spans are made once the request has ended, from recorded times: a live tracer would cost several
    times as much.
    """

    def __init__(self, settings: ObservabilitySettings, version: str, metrics: Metrics) -> None:
        """Raise ``OperatorError`` if an ``OTEL_`` variable is invalid."""
        self._dropped, self._ids, self._given = metrics.spans_dropped, RandomIdGenerator(), 0
        self._propagator = TraceContextTextMapPropagator()
        self._resource = _resource(settings.service_name, version)
        self._scope = InstrumentationScope("potoo", version)
        session, address = _Session(), _address(settings.otlp_endpoint or "")
        try:
            exporter = OTLPSpanExporter(address, session=session)
            self._exporter = Watched(exporter, lambda: session.ended, metrics)
            # Its queue is wider than ours, so that it never drops parts of a trace.
            self._batches = BatchSpanProcessor(self._exporter, 2 * QUEUE_SPANS, None, BATCH_SPANS)
        except ValueError as error:
            raise OperatorError(f"tracing: an OTEL_... variable is invalid: {error}") from error
        # From now on ``Watched`` logs and counts failures: the SDK would log a line for every lost
        # batch and span.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def parent(self, claimed: str) -> Parent | None:
        """See ``tracing.Sender``."""
        context = self._propagator.extract({"traceparent": claimed}, Context())
        span = get_current_span(context).get_span_context()
        if not span.is_valid:
            return None
        return Parent(span.trace_id, span.span_id, span.trace_flags.sampled)

    def send(self, trace: Trace) -> None:
        """See ``tracing.Sender``."""
        count = trace.size
        if self._given - self._exporter.taken + count > QUEUE_SPANS:
            self._dropped.labels("queue_full").inc(count)
            return
        parent = None
        if trace.parent:
            parent = SpanContext(trace.trace_id, trace.parent, is_remote=True, trace_flags=SAMPLED)
        self._tell(trace, parent, trace)

    def close(self) -> None:
        """See ``tracing.Sender``."""
        flushing = threading.Thread(target=self._batches.shutdown, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)
        if flushing.is_alive():
            self._exporter.shutdown()  # aborts the current export
        if left := self._given - self._exporter.sent:
            get_logger("tracing").warning("spans were not sent", spans=left)

    def _tell(self, span: Span, parent: SpanContext | None, trace: Trace) -> None:
        """Pass a span to the SDK after its children: the server span comes last."""
        span_id = trace.span_id if span is trace else self._ids.generate_span_id()
        context = SpanContext(trace.trace_id, span_id, is_remote=False, trace_flags=SAMPLED)
        for child in tuple(span.children):  # a late worker may still add to it
            self._tell(child, context, trace)
        attributes, status = dict(span.attributes), FINE
        if span is trace and trace.left_out:
            attributes["potoo.spans_left_out"] = trace.left_out
        if span.error:
            attributes["error.type"] = span.error
        if trace.is_failure and (span.error or span is trace):  # ignore errors of the caller
            status = FAILED
        self._given += 1
        self._batches.on_end(
            ReadableSpan(
                span.name,
                context,
                parent,
                self._resource,
                attributes,
                links=_links(trace) if span is trace else (),
                kind=SpanKind.SERVER if span is trace else SpanKind.INTERNAL,
                instrumentation_scope=self._scope,
                status=status,
                start_time=trace.wall_ns(span.began),
                end_time=trace.wall_ns(span.last),
            )
        )


def _links(trace: Trace) -> tuple[Link, ...]:
    """Link a trace to the root span of the one that it belongs to, if that is sent too."""
    linked = trace.linked
    if linked is None or not linked.is_sampled:
        return ()
    context = SpanContext(linked.trace_id, linked.span_id, is_remote=False, trace_flags=SAMPLED)
    return (Link(context),)


class Watched(SpanExporter):
    """Exporter that counts sent and lost spans, and logs when sending fails and recovers.

    Used by the SDK's thread only, except for the counts, which any thread may read.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        reason: Callable[[], str],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``reason``: returns how the last request to the collector ended."""
        self._exporter, self._reason, self._clock = exporter, reason, clock
        self._lost = metrics.spans_dropped.labels("not_sent")
        self._log = get_logger("tracing")
        self._is_failing, self._quiet_until = False, -math.inf
        self.taken = self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch. Blocks for up to ``OTEL_EXPORTER_OTLP_TIMEOUT`` seconds."""
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            if self._is_failing:
                self._is_failing = False
                self._log.info("traces are sent again")
        else:
            self._lost.inc(len(spans))
            if not self._is_failing and self._clock() >= self._quiet_until:
                self._is_failing, self._quiet_until = True, self._clock() + QUIET_SECONDS
                self._log.warning("traces are not sent", reason=self._reason())
        return result

    def shutdown(self) -> None:
        """Cancel a pending retry."""
        self._exporter.shutdown()


class _Session(requests.Session):
    """HTTP session that records how its last request ended, which the exporter only logs."""

    ended = "unknown"

    def request(self, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401 - passed on
        try:
            response = super().request(*args, **options)
        except Exception as error:
            self.ended = type(error).__name__
            raise
        self.ended = f"status {response.status_code}"
        return response


def _address(endpoint: str) -> str:
    """Append the path of traces if it is missing, as for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
    base = endpoint.rstrip("/")
    return base if base.endswith(PATH) else base + PATH


def _resource(name: str, version: str) -> Resource:
    """Build the resource; OpenTelemetry's own variables take precedence."""
    ours: dict[str, str | int] = {
        "service.name": name,
        "service.version": version,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())
