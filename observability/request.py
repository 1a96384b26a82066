"""The request that is being worked on: for logs, which name it, and for whoever measures in it.

A context variable: every request runs in a task of its own. Worker threads are told what they need.
"""

from __future__ import annotations

import time
from contextvars import ContextVar, Token
from types import TracebackType

from observability.span import NO_FACTS, Facts, Span, Trace
from schemas.errors import ServiceError


class Current:
    """A request's id; its trace if it is, or may yet be, traced."""

    __slots__ = ("request_id", "trace")

    def __init__(self, request_id: str, trace: Trace | None) -> None:
        self.request_id, self.trace = request_id, trace


_CURRENT: ContextVar[Current | None] = ContextVar("potoo_request", default=None)


def enter(request_id: str, trace: Trace | None) -> Token[Current | None]:
    """A request begins; ``leave`` takes what this gives."""
    return _CURRENT.set(Current(request_id, trace))


def leave(token: Token[Current | None]) -> None:
    """It has ended."""
    _CURRENT.reset(token)


def current() -> Current | None:
    """The request that the caller works on, if it does."""
    return _CURRENT.get()


def note_error(code: str) -> None:
    """With which error the request is answered."""
    request = _CURRENT.get()
    if request is not None and request.trace is not None:
        request.trace.error = code


class Measured:
    """Measures its block as a span of the request, and gives it; None if nothing is traced."""

    __slots__ = ("_facts", "_name", "_span")

    def __init__(self, name: str, facts: Facts = NO_FACTS) -> None:
        self._name, self._facts = name, facts
        self._span: Span | None = None

    def __enter__(self) -> Span | None:
        request = _CURRENT.get()
        if request is not None and request.trace is not None:
            self._span = request.trace.branch(self._name, self._facts)
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
                # Our own errors have a code; of others their class must do, never their words.
                name = type(error).__name__
                self._span.error = error.code if isinstance(error, ServiceError) else name


def items_of(span: Span | None, count: int) -> list[Span | None]:
    """The spans of ``count`` items worked on within ``span``: a single one needs no own."""
    request = _CURRENT.get()
    if span is None or request is None or request.trace is None:
        return [None] * count
    if count == 1:
        return [span]
    trace = request.trace
    return [trace.branch("item", {"potoo.item": number}, of=span) for number in range(count)]
