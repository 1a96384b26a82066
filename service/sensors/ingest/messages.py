"""Messages that any replica may receive: each one is windowed by itself, without a channel."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Sequence

from schemas.errors import InferenceFailed, InvalidTensor, NotFound, ServiceError
from schemas.sensors import SensorAnswer, SensorFault
from service.sensors.ingest.lanes import Lane, Skipped
from service.sensors.ingest.models import Line
from service.sensors.ingest.results import answer_of
from service.sensors.ingest.sharing import Tools
from service.sensors.ingest.states import StateVotes
from service.sensors.ingest.tracking import Tracked
from service.sensors.records import Change, Entry, Fate, Outcome
from service.sensors.windows.samples import Cut, Samples, Window
from service.sensors.windows.stream import SampleStream


def windows_of(
    messages: Sequence[Samples], cut: Cut, tracked: Tracked, *, arrived: float, now: float
) -> list[Window]:
    """Return the windows of messages, each by itself.

    Raises:
        InvalidTensor: the samples do not fit the sensor, or do not begin where a window does.
    """
    windows: list[Window] = []
    for message in messages:
        first = message.first or 0
        if first < 0 or first % cut.stride:
            text = f"A message must begin at a multiple of {cut.stride} samples."
            raise InvalidTensor(text)
        stream = SampleStream(cut, start=first)
        try:
            found = stream.feed(message, arrived=arrived, now=now)
        except ValueError as error:
            tracked.take_fault(SensorFault.WRONG_CHANNELS)
            raise InvalidTensor(str(error)) from None
        except OverflowError as error:
            tracked.take_fault(SensorFault.BAD_DATA)
            raise InvalidTensor(str(error)) from None
        tracked.take(stream.samples, arrived=arrived, now=now)
        for fault in stream.faults:
            tracked.take_fault(fault.fault, fault.times)
        if (found[-1].first + cut.length if found else first) < stream.next:
            tracked.take_fault(SensorFault.GAP)
        windows += found
    return windows


class MadeIds:
    """Numbers messages that have no epoch.

    Attributes:
        epoch: of this process alone, and above those of devices.
    """

    def __init__(self, now: float) -> None:
        """``now``: in seconds since the epoch."""
        self.epoch = int(now * 1000) << 20 | secrets.randbits(20)
        self._next: Counter[str] = Counter()

    def number(self, sensor: str, cut: Cut, message: Samples) -> Samples:
        """Return a message with a sequence at which a window starts."""
        first = self._next[sensor]
        self._next[sensor] = cut.start_from(first + max(1, len(message.values)))
        return Samples(first, message.values, message.at)


class MessageBatch:
    """Windows that are committed together; implements ``Source`` of the committer."""

    def __init__(
        self,
        sensor: str,
        epoch: int,
        windows: Sequence[Window],
        line: Line,
        votes: StateVotes,
        tracked: Tracked,
        tools: Tools,
    ) -> None:
        """``votes``: of the sensor in this process."""
        self._sensor, self._epoch, self._votes = sensor, epoch, votes
        self._tracked, self._tools = tracked, tools
        self._charge = sum(window.values.nbytes for window in windows)
        self._lane = Lane(tools.dispatcher, line, on_done=self._look, on_held=self._note_held)
        self._windows = list(windows)
        self._taken: list[tuple[Window, SensorAnswer | Skipped]] = []
        self._done: asyncio.Future[Sequence[SensorAnswer]] = (
            asyncio.get_running_loop().create_future()
        )

    async def run(self) -> Sequence[SensorAnswer]:
        """Classify and commit; return the answers.

        Raises:
            NotFound, InferenceFailed: the sensor was removed, or the entry cannot be stored.
        """
        memory = self._tools.memory
        memory.held += self._charge
        try:
            if self._windows:
                self._lane.add(self._windows)
            else:
                self._tools.committer.note(self)
            return await self._done
        finally:
            memory.held -= self._charge
            self._lane.drop()

    def take(self) -> Entry | None:
        """See ``Source``."""
        if self._done.done():
            return None
        flights = self._lane.done()
        now = self._tools.clock()
        answers: list[SensorAnswer] = []
        changes: list[Change] = []
        if self._tracked.is_silent:
            changes.append(Change("back", now, self._votes.state, self._votes.state))
        for flight in flights:
            if isinstance(flight.result, Skipped) or flight.result is None:
                skipped = flight.result or Skipped(SensorFault.MODEL, "")
                self._taken.append((flight.window, skipped))
                continue
            answer = answer_of(self._epoch, flight.window, flight.result, now)
            answers.append(answer)
            self._taken.append((flight.window, answer))
            if change := self._votes.add(flight.result, now):
                changes.append(change)
        return Entry(self._sensor, self._epoch, None, 0, now, answers, changes)

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """See ``Source``."""
        if self._done.done():  # cancelled
            return
        if outcome.fate is not Fate.COMMITTED:
            self._done.set_exception(NotFound("There is no sensor with this name."))
            return
        self._tracked.is_silent = False
        voted = sum(change.kind == "state" for change in entry.changes)
        if voted > sum(event.kind == "state" for event in outcome.events):
            self._tracked.votes = None  # another replica changed the state: read it again
        known = {one.first_sequence: one for one in outcome.known}
        now = self._tools.monotonic()
        answers = []
        for window, result in self._taken:
            if isinstance(result, Skipped):
                self._tracked.take_fault(result.fault)
                continue
            answer = known.get(result.first_sequence, result)
            self._tracked.take_answer(window, answer, now)
            answers.append(answer)
        self._tools.on_outcome(entry.sensor, answers, outcome)
        self._done.set_result(answers)

    def fail(self) -> None:
        """See ``Source``."""
        if not self._done.done():
            self._done.set_exception(InferenceFailed())

    def _look(self) -> None:
        if all(flight.result is not None for flight in self._lane.flights):
            self._tools.committer.note(self)

    def _note_held(self, _error: ServiceError, fault: SensorFault) -> None:
        self._tracked.take_fault(fault)
