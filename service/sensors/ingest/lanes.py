"""Windows on their way through the model: many at once, in order at the end.

::

    Channel ── windows ──► Lane ──┐
    Channel ── windows ──► Lane ──┼──► Dispatcher: one window of each lane in turn,
                            ▲     │    in groups of those that wait ──► model
                            └── done, in order ──► commit
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

from observability.logs.logging import get_logger
from schemas.errors import InferenceFailed, InvalidTensor, ServiceError
from schemas.sensors import SensorFault
from service.core.engine.pool import usable_cores
from service.sensors.ingest.models import Line, Verdict, fault_of
from service.sensors.windows.samples import Window

LANE_WINDOWS = 32
"""Windows of one channel that are in the model's queue at once."""
TOTAL_WINDOWS = 128
"""Windows of all channels: half of a model's queue, so that photos find room in it."""
GROUP_WINDOWS = 16
"""Windows that go to the model in one call, if as many wait."""
FIRST_SECONDS, LONGEST_SECONDS = 0.05, 2.0
ATTEMPTS = 3
"""Of a window at which the model fails, before it is skipped."""


class Skipped(NamedTuple):
    """A window that the model cannot answer."""

    fault: SensorFault
    detail: str


class Flight:
    """A window, and its result once it has one."""

    __slots__ = ("attempts", "result", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.attempts = 0
        self.result: Verdict | Skipped | None = None


class Dispatcher:
    """Takes one window of each lane in turn, and hands those that wait to the model in groups.

    A call for each window would cost more than a small window does.
    """

    def __init__(self, cores: int | None = None) -> None:
        """``cores``: that run models; None: all that there are."""
        # Two groups for each core: one runs, one waits.
        self._most = min(TOTAL_WINDOWS, 2 * (cores or usable_cores()) + 2)
        self._size = min(GROUP_WINDOWS, TOTAL_WINDOWS // self._most)
        self._ready: dict[Hashable, deque[Lane]] = {}  # by the group of their lines
        self._runners: set[asyncio.Task[None]] = set()

    def enqueue(self, lane: Lane) -> None:
        """Put a lane that has windows to classify at the end of the line."""
        lane.is_queued = True
        self._ready.setdefault(lane.line.group, deque()).append(lane)
        if len(self._runners) < self._most:
            runner = asyncio.create_task(self._run())
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)

    async def _run(self) -> None:
        while self._ready:
            if group := self._take():
                await self._fly(group)

    def _take(self) -> list[tuple[Lane, Flight]]:
        """Take windows that may be classified together."""
        key, lanes = next(iter(self._ready.items()))
        del self._ready[key]
        group: list[tuple[Lane, Flight]] = []
        while lanes and len(group) < self._size:
            lane = lanes.popleft()
            lane.is_queued = False
            if (flight := lane.take()) is None:
                continue
            group.append((lane, flight))
            if lane.is_ready:
                lane.is_queued = True
                lanes.append(lane)
        if lanes:
            self._ready[key] = lanes  # behind those of other models
        return group

    async def _fly(self, group: Sequence[tuple[Lane, Flight]]) -> None:
        """Classify windows."""
        lines = [lane.line for lane, _ in group]
        results: Sequence[Verdict | ServiceError]
        try:
            results = await lines[0].classify_each(
                lines, [flight.window.values for _, flight in group]
            )
        except ServiceError as error:
            results = [error] * len(group)
        except Exception:  # noqa: BLE001 - the streams go on
            get_logger("sensors").exception("classification failed: this is a bug")
            results = [InferenceFailed() for _ in group]
        for (lane, flight), result in zip(group, results, strict=True):
            lane.land(flight, result)

    async def close(self) -> None:
        """End all that is under way."""
        self._most = 0
        runners = list(self._runners)
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)


class Lane:
    """The windows of one channel that are not committed, in order.

    Attributes:
        line: the way to the model.
        flights: oldest first; the head leaves when it has a result.
        is_queued: whether the dispatcher has the lane in its line.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        line: Line,
        *,
        on_done: Callable[[], None],
        on_held: Callable[[ServiceError, SensorFault], None],
    ) -> None:
        """``on_done``: called when the head has a result. ``on_held``: when windows must wait."""
        self._dispatcher, self.line = dispatcher, line
        self._on_done, self._on_held = on_done, on_held
        self._waiting: deque[Flight] = deque()
        self._flying = self._failures = 0
        self._held: asyncio.TimerHandle | None = None
        self._is_dropped = False
        self.flights: deque[Flight] = deque()
        self.is_queued = False

    def add(self, windows: Iterable[Window]) -> None:
        """Add windows behind the others."""
        flights = [Flight(window) for window in windows]
        self.flights.extend(flights)
        self._waiting.extend(flights)
        self._enqueue()

    @property
    def is_ready(self) -> bool:
        """Whether the dispatcher may take a window now."""
        return bool(self._waiting) and self._held is None and self._flying < LANE_WINDOWS

    def take(self) -> Flight | None:
        """Return the next window to classify; None if there is none now."""
        if not self.is_ready:
            return None
        self._flying += 1
        return self._waiting.popleft()

    def land(self, flight: Flight, result: Verdict | ServiceError) -> None:
        """Note the model's answer for a window, or its error."""
        self._flying -= 1
        if isinstance(result, ServiceError):
            self._fail(flight, result)
        else:
            flight.result = result
            self._failures = 0
        self._enqueue()
        if flight.result is not None and self.flights and self.flights[0].result is not None:
            self._on_done()

    def done(self) -> list[Flight]:
        """Remove and return the windows at the head that have results."""
        found = []
        while self.flights and self.flights[0].result is not None:
            found.append(self.flights.popleft())
        return found

    def drop(self) -> None:
        """Forget all windows; results that come later count for nothing."""
        self._is_dropped = True
        self._waiting.clear()
        self.flights.clear()
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _fail(self, flight: Flight, error: ServiceError) -> None:
        flight.attempts += 1
        is_lasting = isinstance(error, InvalidTensor) or (
            isinstance(error, InferenceFailed) and flight.attempts >= ATTEMPTS
        )
        if is_lasting:
            flight.result = Skipped(fault_of(error), error.detail)
            return
        if self._is_dropped:
            return
        self._waiting.appendleft(flight)
        if self._held is None:
            pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 10))
            self._failures += 1
            pause *= 1 - random.random() / 4  # noqa: S311 - so that lanes return one by one
            self._held = asyncio.get_running_loop().call_later(pause, self._release)
            self._on_held(error, fault_of(error))

    def _release(self) -> None:
        self._held = None
        self._enqueue()

    def _enqueue(self) -> None:
        if not self.is_queued and self.is_ready:
            self._dispatcher.enqueue(self)
