"""A fake OpenTelemetry collector (OTLP/HTTP) that records traces and can fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.servers.stand_in import stand_in

PATIENCE = 60.0
Value = str | int | float | bool


@dataclass(frozen=True)
class Span:
    """One span as received."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    begin: int
    end: int
    facts: dict[str, Value]
    is_error: bool
    resource: dict[str, Value] = field(repr=False)
    links: tuple[tuple[str, str], ...] = ()
    """Trace id and span id of each."""


@dataclass
class Tree:
    """The spans of one trace."""

    spans: list[Span]

    @property
    def root(self) -> Span:
        """The root span: the only one of kind server."""
        (root,) = [span for span in self.spans if span.kind == WireSpan.SPAN_KIND_SERVER]
        return root

    def below(self, parent: Span) -> list[Span]:
        """Child spans in the order of their start."""
        found = [span for span in self.spans if span.parent_id == parent.span_id]
        return sorted(found, key=lambda span: (span.begin, span.end))

    def names(self, parent: Span | None = None) -> list[str]:
        """Names of a span's children, without waits, which depend on other load."""
        return [span.name for span in self.below(parent or self.root) if span.name != "batching"]

    def only(self, name: str) -> Span:
        (found,) = [span for span in self.spans if span.name == name]
        return found


class Collector:
    """``status``: of its responses. It does not respond while ``goes_on`` is not set."""

    def __init__(self) -> None:
        self.url, self.status = "", 200
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._changed = threading.Condition()

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        with self._changed:
            self.paths.append(request.path)
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self._changed.notify_all()
        self.goes_on.wait(PATIENCE)
        with suppress(OSError):  # the waiting client has disconnected
            request.send_response(self.status)
            request.send_header("content-length", "0")
            request.end_headers()
        if self.status == 200:
            with self._changed:
                self.bodies.append(body)
                self.spans += _spans(body)
                self._changed.notify_all()

    def until(self, is_so: Callable[[Collector], bool]) -> None:
        """Wait until a condition on the received spans holds."""
        with self._changed:
            came = self._changed.wait_for(lambda: is_so(self), PATIENCE)
            assert came, [(span.trace_id[:4], span.name) for span in self.spans[-50:]]

    def trace_of(self, request_id: str) -> Tree:
        """Wait for the trace of a request, which may be spread over two exports."""

        def root() -> Span | None:
            wanted = [s for s in self.spans if s.facts.get("potoo.request_id") == request_id]
            return wanted[0] if wanted else None

        self.until(lambda _: root() is not None)
        found = root()
        assert found is not None
        # The server's span ends last, and spans are sent in the order in which they end.
        return Tree([span for span in self.spans if span.trace_id == found.trace_id])

    def knows(self, request_id: str) -> bool:
        return any(span.facts.get("potoo.request_id") == request_id for span in self.spans)


@contextmanager
def collector() -> Iterator[Collector]:
    """Run a collector on a free port."""
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self)

    with stand_in(Handler, at_end=made.goes_on.set, leaves_callers=True) as (host, port):
        made.url = f"http://{host}:{port}"
        yield made


def _spans(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            span.kind,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            _facts(list(span.attributes)),
            span.status.code == Status.STATUS_CODE_ERROR,
            _facts(list(of_one.resource.attributes)),
            tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        )
        for of_one in request.resource_spans
        for scope in of_one.scope_spans
        for span in scope.spans
    ]


def _facts(pairs: list[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    assert kind in {"string_value", "int_value", "double_value", "bool_value"}, kind
    found: Value = getattr(value, kind)
    return found
