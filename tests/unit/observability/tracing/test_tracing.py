"""Sampling of requests, and the attributes of spans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from observability.metrics.metrics import Metrics
from observability.request import current, enter, items_of, leave, note_error, start_span
from observability.settings import ObservabilitySettings
from observability.tracing.span import MAX_BRANCHES, Trace
from observability.tracing.tracing import Parent, Tracing, follow_caller
from schemas.errors import InvalidRequest

PARENT = Parent(7, 8, is_sampled=True)


@dataclass
class KeptTraces:
    """A fake exporter that stores spans."""

    says: Parent | None = PARENT
    traces: list[Trace] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    is_closed: bool = False

    def send(self, trace: Trace) -> None:
        self.traces.append(trace)

    def parent(self, claimed: str) -> Parent | None:
        self.asked.append(claimed)
        return self.says

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Bench:
    """Tracing with given random draws and a stopped clock."""

    sender: KeptTraces = field(default_factory=KeptTraces)
    drawn: float = 0.0
    now: float = 0.0

    @contextmanager
    def running(self, ratio: float = 0.5, per_second: float = 10) -> Iterator[Tracing]:
        settings = ObservabilitySettings(
            otlp_endpoint="http://127.0.0.1:4318",
            trace_sample_ratio=ratio,
            trace_parents_per_second=per_second,
        )
        tracing = Tracing(
            settings,
            "1",
            Metrics(),
            open_sender=lambda *_: self.sender,
            draw=lambda: self.drawn,
            clock=lambda: self.now,
        )
        with tracing.running():
            yield tracing


@contextmanager
def within(trace: Trace | None) -> Iterator[None]:
    token = enter("an-id", trace)
    try:
        yield
    finally:
        leave(token)


@pytest.mark.parametrize(
    ("ratio", "drawn", "is_traced"),
    [(0, 0.0, False), (0.1, 0.09, True), (0.1, 0.1, False), (1, 0.999, True)],
)
def test_configured_share_of_requests_is_traced(
    ratio: float, drawn: float, is_traced: bool
) -> None:
    bench = Bench(drawn=drawn)
    with bench.running(ratio) as tracing:
        assert (tracing.begin("") is not None) == is_traced


def test_no_trace_is_taken_before_start_or_after_stop() -> None:
    bench = Bench()
    with bench.running(1) as tracing:
        begun = tracing.begin("")
        assert begun is not None
    assert bench.sender.is_closed
    assert tracing.begin("") is None
    tracing.end(begun)
    assert bench.sender.traces == []


def test_callers_parent_applies_after_authentication() -> None:
    bench = Bench(drawn=0.9)
    with bench.running() as tracing:
        trace = tracing.begin("claimed")
        assert trace is not None
        before = trace.exemplar
        with within(trace):
            follow_caller()
            follow_caller()  # streams are admitted again and again
            assert (trace.trace_id, trace.parent) == (7, 8)
            assert (before, trace.exemplar) == (None, {"trace_id": f"{7:032x}"})
    assert bench.sender.asked == ["claimed"]


@pytest.mark.parametrize("says", [None, Parent(7, 8, is_sampled=False)])
def test_unsampled_or_missing_parent_gives_no_trace(says: Parent | None) -> None:
    bench = Bench(KeptTraces(says), drawn=0.9)
    with bench.running() as tracing:
        trace = tracing.begin("claimed")
        with within(trace):
            follow_caller()
            with start_span("classify") as span:
                assert span is None, "nothing more is measured"
            request = current()
        assert request is not None
        assert request.trace is None


def test_drawn_trace_continues_despite_an_invalid_parent() -> None:
    bench = Bench(KeptTraces(None))
    with bench.running() as tracing:
        trace = tracing.begin("nonsense")
        assert trace is not None
        with within(trace):
            follow_caller()
        assert trace.is_sampled
        assert trace.parent == 0


def asked_and_followed(tracing: Tracing, count: int) -> int:
    followed = 0
    for _ in range(count):
        trace = tracing.begin("claimed")
        assert trace is not None
        with within(trace):
            follow_caller()
        followed += trace.is_sampled
    return followed


def test_followed_parents_are_rate_limited_with_a_burst() -> None:
    bench = Bench(drawn=0.9)
    with bench.running(per_second=10) as tracing:
        assert asked_and_followed(tracing, 100) == 20
        bench.now = 1.0
        assert asked_and_followed(tracing, 100) == 10
        bench.now = 1000.0
        assert asked_and_followed(tracing, 100) == 20


def test_drawn_traces_do_not_use_the_parent_quota() -> None:
    bench = Bench()
    with bench.running(per_second=0) as tracing:
        assert asked_and_followed(tracing, 5) == 5
        bench.drawn = 0.9
        assert asked_and_followed(tracing, 5) == 0


def a_trace() -> Trace:
    def nothing(_: Trace) -> None:
        pass

    trace = Trace("", nothing)
    trace.sample()
    return trace


def test_failed_span_records_the_error_code_without_its_message() -> None:
    class TheirsWithCode(Exception):
        code = None  # as SQLAlchemy's have it

    trace = a_trace()

    def fails(error: Exception) -> None:
        with within(trace), start_span("a", {"n": 1}):
            raise error

    for error in (InvalidRequest("secret"), TheirsWithCode("secret")):
        with pytest.raises(type(error)):
            fails(error)
    first, second = trace.children
    assert (first.name, first.attributes, first.error) == ("a", {"n": 1}, "invalid_request")
    assert second.error == "TheirsWithCode"
    assert all(span.ended and span.ended >= span.began for span in trace.children)


def test_outside_a_trace_no_span_is_measured() -> None:
    trace = None
    with within(trace), start_span("a") as span:
        assert span is None
        assert items_of(span, 3) == [None] * 3
        note_error("lost")
    assert current() is None
    with start_span("a") as span:
        assert span is None


def test_single_item_shares_its_parents_span() -> None:
    with within(a_trace()), start_span("a") as span:
        assert items_of(span, 1) == [span]
        assert items_of(span, 3) == span.children if span else False
        assert len(items_of(span, 2)) == 2


def test_trace_limits_its_branches_and_counts_the_rest() -> None:
    trace = a_trace()
    with within(trace), start_span("a") as span:
        items = items_of(span, 100)
    assert len([item for item in items if item]) == MAX_BRANCHES - 1
    assert trace.left_out == 100 - (MAX_BRANCHES - 1)
    assert trace.size == 1 + MAX_BRANCHES


def test_open_span_ends_with_its_last_child() -> None:
    trace = a_trace()
    item = trace.branch("item", {})
    assert item is not None
    began = item.began
    item.add("queue", began, began + 1)
    item.add("decode", began + 1, began + 3)
    assert (item.last, trace.last) == (began + 3, began + 3)


def test_span_times_are_in_nanoseconds_since_the_epoch() -> None:
    trace = a_trace()
    now = trace.wall_ns(time.perf_counter())
    assert abs(now - time.time_ns()) < 1e9


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:4318",
        "ftp://127.0.0.1",
        "http://name:password@127.0.0.1:4318",
        "http://127.0.0.1:4318/v1/traces?key=secret",
        "http://127.0.0.1:4318/#a",
        "http:// ",
        "",
    ],
)
def test_invalid_otlp_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="otlp_endpoint"):
        ObservabilitySettings(otlp_endpoint=endpoint)


@pytest.mark.parametrize("member", ["trace_sample_ratio", "trace_parents_per_second"])
@pytest.mark.parametrize("value", [-0.1, 1e9])
def test_sample_ratio_and_rate_are_bounded(member: str, value: float) -> None:
    with pytest.raises(ValueError, match=member):
        ObservabilitySettings.model_validate({member: value})


def test_log_lines_in_a_request_carry_request_and_trace_ids(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from observability.logs.logging import configure_logging, get_logger

    configure_logging(ObservabilitySettings(log_format="json"))

    def line(trace: Trace | None, write: Callable[[], object]) -> str:
        with within(trace):
            write()
        return capsys.readouterr().err

    log, trace = get_logger("ours"), a_trace()
    assert '"request_id":"an-id"}' in line(None, lambda: log.info("an event"))
    assert f'"trace_id":"{trace.shown_id}"' in line(trace, lambda: log.info("an event"))
    assert '"request_id":"given"' in line(trace, lambda: log.info("one", request_id="given"))
    trace.drop()
    assert "trace_id" not in line(trace, lambda: log.info("an event"))
