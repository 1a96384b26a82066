"""Export of traces to a fake collector, and failures of the collector."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from observability.logs.logging import configure_logging
from observability.metrics.metrics import Metrics
from observability.settings import ObservabilitySettings
from observability.tracing.conventions import describe_http, describe_rpc
from observability.tracing.otlp import FLUSH_SECONDS, QUIET_SECONDS, OtlpSender, Watched
from observability.tracing.span import Trace
from service.transport.grpc.server.server import LINGER_SECONDS
from service.transport.http.server.shutdown_watchdog import GRACE_SECONDS
from tests.support.servers.collector import Collector, collector


@contextmanager
def sending(to: Collector, path: str = "") -> Iterator[OtlpSender]:
    settings = ObservabilitySettings(otlp_endpoint=to.url + path)
    sender = OtlpSender(settings, "1.2.3", Metrics())
    try:
        yield sender
    finally:
        sender.close()


def ended(request_id: str, status: int | None = 200, error: str = "") -> Trace:
    def nothing(_: Trace) -> None:
        pass

    trace = Trace("", nothing)
    trace.sample()
    trace.add("classify", trace.began, trace.began + 0.001, error=error)
    trace.error = error
    describe_http(
        trace,
        method="POST",
        route="/v1/classify",
        status=status,
        received=1,
        sent=2,
        address=None,
        request_id=request_id,
    )
    trace.ended = trace.began + 0.002
    return trace


def test_only_server_faults_are_span_errors() -> None:
    with collector() as taking:
        with sending(taking) as sender:
            sender.send(ended("ours", 504, "deadline_exceeded"))
            sender.send(ended("theirs", 400, "invalid_request"))
        ours, theirs = taking.trace_of("ours"), taking.trace_of("theirs")
    assert all(span.is_error for span in ours.spans)
    assert not any(span.is_error for span in theirs.spans)
    for tree, code in ((ours, "deadline_exceeded"), (theirs, "invalid_request")):
        assert {span.facts["error.type"] for span in tree.spans} == {code}


def test_disconnected_client_span_has_no_status() -> None:
    with collector() as taking:
        with sending(taking) as sender:
            sender.send(ended("left", None))
        root = taking.trace_of("left").root
    assert root.facts["error.type"] == "client_closed"
    assert "http.response.status_code" not in root.facts
    assert not root.is_error


def test_trace_keeps_its_logged_id_and_times() -> None:
    trace = ended("timed")
    with collector() as taking:
        with sending(taking) as sender:
            sender.send(ended("before"))
            sender.send(trace)
        tree = taking.trace_of("timed")
    assert tree.root.trace_id == trace.shown_id
    assert tree.root.begin == trace.began_ns
    assert tree.root.end - tree.root.begin == 2_000_000
    (child,) = tree.below(tree.root)
    assert child.end - child.begin == 1_000_000


@pytest.mark.parametrize("path", ["", "/", "/v1/traces", "/v1/traces/"])
def test_endpoint_may_include_the_traces_path(path: str) -> None:
    with collector() as taking:
        with sending(taking, path) as sender:
            sender.send(ended("sent"))
        taking.trace_of("sent")
    assert taking.paths == ["/v1/traces"]


def test_opentelemetry_variables_override_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=birds")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-the-environment")
    with collector() as taking:
        with sending(taking) as sender:
            sender.send(ended("named"))
        resource = taking.trace_of("named").root.resource
    assert resource["service.name"] == "of-the-environment"
    assert resource["service.namespace"] == "birds"
    assert resource["service.version"] == "1.2.3"


def test_trace_flush_time_fits_within_the_stop_grace() -> None:
    """Otherwise every stop with a full drain time would be forced."""
    assert LINGER_SECONDS + FLUSH_SECONDS <= GRACE_SECONDS - 1


def test_rpc_server_faults_are_span_errors() -> None:
    def described(code: int) -> Trace:
        trace = ended("unused")
        describe_rpc(trace, path="/a.B/C", code=code, address=None, request_id="r")
        return trace

    assert [code for code in range(17) if described(code).is_failure] == [2, 4, 12, 13, 14, 15]
    facts = described(0).attributes
    assert (facts["rpc.service"], facts["rpc.method"]) == ("a.B", "C")
    assert "client.address" not in facts


@dataclass
class Wavering(SpanExporter):
    """An exporter that succeeds or fails as the test sets it."""

    works: bool = True
    batches: list[int] = field(default_factory=list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS if self.works else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        pass


def test_export_failures_are_logged_once_a_minute_and_always_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(ObservabilitySettings(log_format="json"))
    now, metrics, inner = [0.0], Metrics(), Wavering()
    watched = Watched(inner, lambda: "status 503", metrics, lambda: now[0])
    spans = [ReadableSpan("a"), ReadableSpan("b")]

    def after(*, works: bool) -> list[str]:
        inner.works = works
        watched.export(spans)
        return [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]

    failing, again = ["traces are not sent"], ["traces are sent again"]
    assert after(works=True) == []
    assert after(works=False) == failing
    assert after(works=False) == []
    assert after(works=True) == again
    for _ in range(5):  # it recovers and fails again
        assert after(works=False) == []
        assert after(works=True) == []
    now[0] = QUIET_SECONDS
    assert after(works=False) == failing
    assert after(works=True) == again
    assert (watched.taken, watched.sent) == (32, 16)
    lost = metrics.registry.get_sample_value(
        "potoo_trace_spans_dropped_total", {"reason": "not_sent"}
    )
    assert lost == 16
