"""One simulated replica: the server's own admission and fair queue, with simulated threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from schemas.errors import Overloaded
from service.core.engine.fair_queue import Charge, FairQueue, Flow, Turn
from service.core.scheduling.admission import Admission, ThroughputEstimator
from service.core.scheduling.priority import SHARES, Priority
from service.core.settings import InferenceSettings
from tools.autoscaling.agenda import Agenda
from tools.autoscaling.books import Books
from tools.autoscaling.costs import Cost

_DEFAULTS = InferenceSettings()
QUEUE_CAPACITY = _DEFAULTS.queue_capacity
TIMEOUT = _DEFAULTS.default_timeout_ms / 1000


class Request(NamedTuple):
    """Request for one image. Times in seconds; ``factor``: its cost relative to a usual image.

    ``on_end`` is called once the request was answered, refused or dropped, for closed loops, in
    which a refusal must cost time: their clients send again at once.
    """

    arrived: float
    deadline: float
    owner: str
    factor: float = 1.0
    on_end: Callable[[float], None] | None = None


class Replica:
    """A replica that accepts or refuses requests; ``cpu``: CPU seconds used so far."""

    def __init__(
        self,
        cost: Cost,
        services: Iterator[float],
        agenda: Agenda,
        books: Books,
        queue_capacity: int = QUEUE_CAPACITY,
    ) -> None:
        """Create an idle replica; ``services``: service time of each next image, in seconds."""
        self._cost, self._services, self._agenda, self._books = cost, services, agenda, books
        self._waiting: FairQueue[Request] = FairQueue()
        self._flow = Flow()
        self._pace = ThroughputEstimator(cost.threads)
        self._admission = Admission(
            self._expected_wait,
            queue_capacity,
            self._pace,
            lambda _: None,
            longest_wait=lambda _: math.inf,
        )
        self._owed = 0.0
        """Thread seconds of refusals, not yet added to the service of an image."""
        self._refusing_until = 0.0
        """Refusals go out one at a time, as from the server's event loop."""
        self.depth = 0
        self.cpu = 0.0
        self.on_idle: Callable[[float], None] | None = None

    def offer(self, now: float, request: Request) -> None:
        """Accept or refuse a request."""
        turn = Turn(self._flow, request.owner, weight=1, share=SHARES[Priority.NORMAL])
        if self._waiting.running < self._cost.threads:
            # With a free thread nothing waits, so admission always accepts.
            self.depth += 1
            self._waiting.push(request, turn)
            self._start(now, *self._waiting.pop())
            return
        try:
            allowed = request.deadline - now
            waiting = len(self._waiting)
            self._admission.check(self.depth, allowed, turn, waiting=waiting)
        except Overloaded:
            self._owed += self._cost.refusal
            self.cpu += self._cost.refusal
            self._books.refused(request.arrived, request.owner)
            self._refusing_until = max(now, self._refusing_until) + self._cost.refusal
            self._end(self._refusing_until, request)
            return
        self.depth += 1
        self._waiting.push(request, turn)

    def _expected_wait(self, turn: Turn, count: int, held: int) -> float:
        return self._waiting.expected_wait(turn, count, self._cost.threads, held)

    def _start(self, now: float, request: Request, charge: Charge[Request]) -> None:
        seconds = next(self._services) * request.factor + self._owed
        self._owed = 0.0
        self._agenda.add(now + seconds, self._finish, request, charge, now, seconds)

    def _finish(
        self, now: float, request: Request, charge: Charge[Request], began: float, seconds: float
    ) -> None:
        self._waiting.settle(charge, seconds)
        self.cpu += seconds * self._cost.cpu
        self._pace.ran(1, seconds)
        self.depth -= 1
        if now <= request.deadline:
            waited = began - request.arrived
            self._books.answered(request.arrived, now, waited, seconds, request.owner)
        else:
            self._books.late(request.arrived, request.owner)
        while self._waiting and self._waiting.running < self._cost.threads:
            self._next(now)
        if request.on_end is not None:
            request.on_end(now)
        if not self.depth and self.on_idle is not None:
            self.on_idle(now)

    def _next(self, now: float) -> None:
        """Start the next request, or drop it as ``Batcher`` does: if late while others wait."""
        request, charge = self._waiting.pop()
        needed = self._pace.own if self._waiting else 0.0
        if now + needed < request.deadline:
            self._start(now, request, charge)
        else:
            self._waiting.settle(charge, 0.0)
            self.depth -= 1
            self._books.late(request.arrived, request.owner)
            self._end(now, request)

    def _end(self, at: float, request: Request) -> None:
        """Schedule ``on_end``; the client sends again, once the queue is settled."""
        if request.on_end is not None:
            self._agenda.add(at, request.on_end)
