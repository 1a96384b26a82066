"""The current request, for logs and measurements.

A context variable: every request runs in its own task. Worker threads do not read it.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from types import TracebackType

from observability.tracing.span import NO_ATTRIBUTES, Attributes, Span, Trace
from schemas.errors import ServiceError


class Current:
    """A request's id, and its trace if it is or may yet be traced."""

    __slots__ = ("request_id", "trace")

    def __init__(self, request_id: str, trace: Trace | None) -> None:
        self.request_id, self.trace = request_id, trace


_NO_SPAN: AbstractContextManager[None] = nullcontext()
_CURRENT: ContextVar[Current | None] = ContextVar("potoo_request", default=None)


def enter(request_id: str, trace: Trace | None) -> Token[Current | None]:
    """Set the request context; pass the returned token to ``leave``."""
    return _CURRENT.set(Current(request_id, trace))


def leave(token: Token[Current | None]) -> None:
    """Reset the request context."""
    _CURRENT.reset(token)


def current() -> Current | None:
    """Return the current request, or None."""
    return _CURRENT.get()


def note_error(code: str) -> None:
    """Record the error code of the answer in the trace."""
    request = _CURRENT.get()
    if request is not None and request.trace is not None:
        request.trace.error = code


class _SpanContext:
    """Context manager that measures its block as a span; yields None if the trace has too many."""

    __slots__ = ("_attributes", "_name", "_span", "_trace")

    def __init__(self, trace: Trace, name: str, attributes: Attributes) -> None:
        self._trace, self._name, self._attributes = trace, name, attributes
        self._span: Span | None = None

    def __enter__(self) -> Span | None:
        self._span = self._trace.branch(self._name, self._attributes)
        return self._span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._span is not None:
            self._span.ended = time.perf_counter()
            if error is not None:
                # Our errors have a code; of others record the class, never the message.
                name = type(error).__name__
                self._span.error = error.code if isinstance(error, ServiceError) else name


def start_span(
    name: str, attributes: Attributes = NO_ATTRIBUTES
) -> AbstractContextManager[Span | None]:
    """Return a context that records its block as a span; it yields None if nothing is traced."""
    request = _CURRENT.get()
    if request is None or request.trace is None:
        return _NO_SPAN
    return _SpanContext(request.trace, name, attributes)


def items_of(span: Span | None, count: int) -> list[Span | None]:
    """Return the spans of ``count`` items within ``span``; a single item uses ``span`` itself."""
    request = _CURRENT.get()
    if span is None or request is None or request.trace is None:
        return [None] * count
    if count == 1:
        return [span]
    trace = request.trace
    return [trace.branch("item", {"potoo.item": number}, of=span) for number in range(count)]
