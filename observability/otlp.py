"""Traces to a collector by OTLP over HTTP: the only file that imports OpenTelemetry.

Its SDK batches and sends on a thread of its own. Ours is what an operator needs beside that: the
queue is bounded by whole traces, what is lost is counted, a collector that is away is one line in
the log and another when it is back, and a stop does not wait for it.
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
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from observability.logging import get_logger
from observability.metrics import Metrics
from observability.settings import ObservabilitySettings
from observability.span import Span, Trace
from observability.tracing import Parent
from schemas.operator_error import OperatorError

PATH = "/v1/traces"
QUEUE_SPANS = 4096
"""That wait to be sent; a trace that does not fit is dropped whole."""
BATCH_SPANS = 512
FLUSH_SECONDS = 1.5
"""At a stop; the store and the models want some of their grace too."""
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
FINE, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
QUIET_SECONDS = 60.0
"""Between two lines about a collector that comes and goes."""


class OtlpSender:
    """A ``tracing.Sender``. ``send`` belongs to one thread.

    Spans are made once the request has ended, from times that were taken before: a tracer, which
    follows work as it goes on, would cost several times as much for the same.
    """

    def __init__(self, settings: ObservabilitySettings, version: str, metrics: Metrics) -> None:
        """Raises ``OperatorError`` if an ``OTEL_`` variable cannot be used."""
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
            raise OperatorError(f"tracing: a variable OTEL_... does not do: {error}") from error
        # What it has to say from now on is said by ``Watched``, or counted: a line for every batch
        # and span that is lost would be a flood.
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
            self._exporter.shutdown()  # gives up what it is about
        if left := self._given - self._exporter.sent:
            get_logger("tracing").warning("spans were not sent", spans=left)

    def _tell(self, span: Span, parent: SpanContext | None, trace: Trace) -> None:
        """A span behind those that are in it: the server's comes last."""
        span_id = self._ids.generate_span_id()
        context = SpanContext(trace.trace_id, span_id, is_remote=False, trace_flags=SAMPLED)
        for child in tuple(span.children):  # a late worker may still add to it
            self._tell(child, context, trace)
        facts, status = dict(span.facts), FINE
        if span is trace and trace.left_out:
            facts["potoo.spans_left_out"] = trace.left_out
        if span.error:
            facts["error.type"] = span.error
        if trace.is_failure and (span.error or span is trace):  # not what is the caller's fault
            status = FAILED
        self._given += 1
        self._batches.on_end(
            ReadableSpan(
                span.name,
                context,
                parent,
                self._resource,
                facts,
                kind=SpanKind.SERVER if span is trace else SpanKind.INTERNAL,
                instrumentation_scope=self._scope,
                status=status,
                start_time=trace.wall_ns(span.began),
                end_time=trace.wall_ns(span.last),
            )
        )


class Watched(SpanExporter):
    """Counts what is sent and lost; says when sending begins to fail, and when it works again.

    Belongs to the SDK's thread, but for the counts, which anybody may read.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        reason: Callable[[], str],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``reason``: how the last request to the collector ended."""
        self._exporter, self._reason, self._clock = exporter, reason, clock
        self._lost = metrics.spans_dropped.labels("not_sent")
        self._log = get_logger("tracing")
        self._is_failing, self._quiet_until = False, -math.inf
        self.taken = self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch. Blocks, for up to ``OTEL_EXPORTER_OTLP_TIMEOUT`` seconds."""
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
        """Ends what waits to be tried again."""
        self._exporter.shutdown()


class _Session(requests.Session):
    """Notes how its last request ended: the exporter says so in a line of its own log alone."""

    ended = "unknown"

    def request(self, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401 - as it is
        try:
            response = super().request(*args, **options)
        except Exception as error:
            self.ended = type(error).__name__
            raise
        self.ended = f"status {response.status_code}"
        return response


def _address(endpoint: str) -> str:
    """Where traces go, if that is not said already: as ``OTEL_EXPORTER_OTLP_ENDPOINT`` is read."""
    base = endpoint.rstrip("/")
    return base if base.endswith(PATH) else base + PATH


def _resource(name: str, version: str) -> Resource:
    """Who sends; what OpenTelemetry's own variables say of it goes before ours."""
    ours: dict[str, str | int] = {
        "service.name": name,
        "service.version": version,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())
