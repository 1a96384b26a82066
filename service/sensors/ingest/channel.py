"""One device that sends one epoch of one sensor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.errors import InvalidTensor, Overloaded, ServiceError
from schemas.sensors import SensorAnswer, SensorFault, SensorGap
from service.sensors.ingest.lanes import Flight, Lane, Skipped
from service.sensors.ingest.load import Load
from service.sensors.ingest.models import Line
from service.sensors.ingest.ports import Door, Ending, Listener
from service.sensors.ingest.results import answer_of, as_stored
from service.sensors.ingest.sharing import Tools
from service.sensors.ingest.states import StateVotes
from service.sensors.ingest.tracking import Tracked
from service.sensors.records import Change, ClaimedEpoch, Entry, Fate, Outcome, StoredSensor
from service.sensors.windows.samples import Cut, Samples
from service.sensors.windows.stream import SampleStream

CLOSE_SECONDS = 5.0
SEEN_SECONDS = 5.0
"""A channel whose windows are long stores that samples arrive as often as this."""
FAULT_SECONDS = 1.0
"""Between two faults of a kind that a device is told."""


class LiveChannel:
    """Implements the port ``Channel``, and ``Source`` of the committer.

    Attributes:
        owner: token of the claim.
        is_ended: whether the server has ended it, or it is closed.
        is_left: whether its transport has closed it; it may still commit what is complete.
        least_bytes: that it needs: two windows.
        active_at: of the last message, on ``time.monotonic``.
        opened_at: in seconds since the epoch.
        checked: the sensor as stored, when it was last compared with this channel.
    """

    def __init__(
        self,
        claimed: ClaimedEpoch,
        owner: str,
        cut: Cut,
        line: Line,
        door: Door,
        listener: Listener,
        tracked: Tracked,
        tools: Tools,
        *,
        most_bytes: int,
    ) -> None:
        """``most_bytes``: the credit while memory is not tight."""
        sensor = claimed.sensor
        self.sensor, self.spec, self.epoch = sensor.name, sensor.spec, claimed.epoch
        self.length, self.stride, self.owner, self.door = cut.length, cut.stride, owner, door
        self._listener, self._tracked, self._tools = listener, tracked, tools
        self._load = Load(cut, most_bytes, tools, listener)
        self.least_bytes = self._load.least
        self._stream = SampleStream(cut, start=claimed.safe)
        self._lane = Lane(tools.dispatcher, line, on_done=self._wake, on_held=self._note_held)
        self._votes = StateVotes(sensor, claimed.recent)
        self._safe = claimed.safe
        self._taken: list[Flight] = []
        self._seen_stored = tools.clock()
        self._told: dict[SensorFault, float] = {}
        self._is_closing = self._is_releasing = self.is_ended = False
        self.is_left = self._is_told = False  # by the transport; the listener
        self.checked: StoredSensor | None = None
        self._finished = asyncio.Event()
        self.active_at, self.opened_at = tools.monotonic(), tools.clock()
        tracked.door = door

    @property
    def next_sequence(self) -> int:
        """See ``Channel``."""
        return self._safe

    @property
    def received(self) -> int:
        """See ``Channel``."""
        return self._stream.next

    @property
    def credit(self) -> int:
        """See ``Channel``."""
        return self._load.credit

    def touch(self) -> None:
        """See ``Channel``."""
        self.active_at = self._tools.monotonic()

    def offer(self, samples: Samples) -> int:
        """See ``Channel``."""
        stream, tools = self._stream, self._tools
        if self.is_ended or self._is_closing:
            return stream.next
        try:
            self._load.check(samples.values)
        except Overloaded:
            self._tracked.take_fault(SensorFault.OVERLOADED)
            raise
        arrived, now = tools.monotonic(), tools.clock()
        before = stream.samples
        try:
            windows = stream.feed(samples, arrived=arrived, now=now)
        except ValueError as error:
            self._tracked.take_fault(SensorFault.WRONG_CHANNELS)
            raise InvalidTensor(str(error)) from None
        except OverflowError as error:
            self._tracked.take_fault(SensorFault.BAD_DATA)
            raise InvalidTensor(str(error)) from None
        self.active_at = arrived
        self._tracked.take(stream.samples - before, arrived=arrived, now=now)
        if stream.faults or stream.breaks:
            self._take_faults()
        if windows:
            self._lane.add(windows)
        elif self._needs_commit(now):
            self._wake()
        self._weigh()
        return stream.next

    def report(self, fault: SensorFault, detail: str) -> None:  # noqa: ARG002 - part of the port
        """See ``Channel``."""
        self._tracked.take_fault(fault)

    async def close(self) -> None:
        """See ``Channel``."""
        self.is_left = True
        await self._finish()

    async def drain(self) -> None:
        """Close; the device learns that the server stops."""
        if self.is_ended:
            return
        await self._finish()
        if not (self.is_left or self._is_told):
            self._is_told = True
            self._listener.closed("drained")

    async def _finish(self) -> None:
        """Commit the complete windows, and end."""
        if self.is_ended:
            return
        self._is_closing = True
        self._wake()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._finished.wait()
        except TimeoutError:  # the device sends the rest again
            self._is_releasing = not self.is_ended
            self._wake()
        finally:
            self._end(None)

    def end(self, reason: Ending, *, is_released: bool = True, fate: Fate | None = None) -> None:
        """End the channel: windows that are not committed come again.

        Args:
            is_released: give the epoch back to the store.
            fate: of the entry that failed; None for another reason.
        """
        if self.is_ended:
            return
        self._end(fate)
        if is_released:
            self._is_releasing = True
            self._wake()
        self._is_told = True
        self._listener.closed(reason)

    def take(self) -> Entry | None:
        """See ``Source``."""
        now = self._tools.clock()
        if self.is_ended:
            if not self._is_releasing:
                return None
            self._is_releasing = False
            return Entry(self.sensor, self.epoch, self.owner, self._safe, now, is_last=True)
        taken = self._taken = self._lane.done()
        stream, lane, seen = self._stream, self._lane, self._tracked.seen
        # With a stride above the length, the device has not sent all samples before the window.
        position = min(stream.open, stream.next)
        safe = lane.flights[0].window.first if lane.flights else max(self._safe, position)
        is_last = self._is_closing and not lane.flights
        patience = self.spec.silent_after_seconds
        is_back = self._tracked.is_silent and seen is not None and now - seen <= patience
        stale = seen is not None and seen - self._seen_stored > SEEN_SECONDS
        if not (taken or is_last or is_back or stale or safe > self._safe):
            return None
        answers, changes = [], []
        if is_back:
            changes.append(Change("back", now, self._votes.state, self._votes.state))
        for flight in taken:
            if isinstance(flight.result, Skipped) or flight.result is None:
                continue
            answer = answer_of(self.epoch, flight.window, flight.result, now)
            answers.append(answer)
            if change := self._votes.add(flight.result, now):
                changes.append(change)
        seen_at = now if seen is None else seen
        return Entry(self.sensor, self.epoch, self.owner, safe, seen_at, answers, changes, is_last)

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """See ``Source``."""
        taken, self._taken = self._taken, []
        if self.is_ended:
            if outcome.fate is Fate.COMMITTED:
                self._safe = max(self._safe, entry.safe)
                self._tools.on_outcome(self.sensor, as_stored(entry, outcome), outcome)
            return
        if outcome.fate is not Fate.COMMITTED:
            reason: Ending = "replaced" if outcome.fate is Fate.LOST else "removed"
            self.end(reason, is_released=False, fate=outcome.fate)
            return
        self._safe, self._seen_stored = entry.safe, entry.seen
        if entry.changes and any(change.kind == "back" for change in entry.changes):
            self._tracked.is_silent = False
        answers = as_stored(entry, outcome)
        self._track(taken, answers)
        self._tools.on_outcome(self.sensor, answers, outcome)
        self._weigh()
        for answer in answers:
            self._listener.result(answer)
        self._listener.safe(self._safe, self._load.grant())
        self._tools.resume()
        if entry.is_last:
            self._finished.set()
        elif self._is_closing:
            self._wake()

    def fail(self) -> None:
        """See ``Source``."""
        self._taken = []
        self.end("changed")

    def _track(self, taken: Sequence[Flight], answers: Sequence[SensorAnswer]) -> None:
        now, following = self._tools.monotonic(), iter(answers)
        for flight in taken:
            if isinstance(flight.result, Skipped):
                self._tell(flight.result.fault, flight.result.detail)
                self._tracked.keep(self.epoch, flight.window, None, now)
            else:
                self._tracked.take_answer(flight.window, next(following), now)

    def _needs_commit(self, now: float) -> bool:
        """Return whether something changed that no window commits."""
        if self._tracked.is_silent or now - self._seen_stored > SEEN_SECONDS:
            return True
        stream = self._stream
        return not self._lane.flights and min(stream.open, stream.next) > self._safe

    def _take_faults(self) -> None:
        stream = self._stream
        for first, missing in stream.breaks:
            gap = SensorGap(epoch=self.epoch, first_sequence=first, missing=missing)
            self._tracked.take_gap(gap)
        for found in stream.faults:
            self._tell(found.fault, found.detail, found.times)
        stream.breaks.clear()
        stream.faults.clear()

    def _note_held(self, error: ServiceError, fault: SensorFault) -> None:
        self._tell(fault, error.detail)

    def _tell(self, fault: SensorFault, detail: str, times: int = 1) -> None:
        self._tracked.take_fault(fault, times)
        now = self._tools.monotonic()
        if now - self._told.get(fault, now - FAULT_SECONDS) >= FAULT_SECONDS:
            self._told[fault] = now
            self._listener.fault(fault, detail)

    def _weigh(self) -> None:
        waiting = len(self._lane.flights) + len(self._taken)
        self._load.weigh(waiting, self._stream.held_rows)

    def _end(self, fate: Fate | None) -> None:
        if self.is_ended:
            return
        self.is_ended = True
        self._tracked.former = self.owner
        self._lane.drop()
        self._load.drop()
        self._finished.set()
        self._tools.on_end(self, fate)

    def _wake(self) -> None:
        self._tools.committer.note(self)
