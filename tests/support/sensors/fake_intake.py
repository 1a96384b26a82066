"""A store, models, metrics and devices in memory, for tests of the intake of samples."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from schemas.classify import Prediction
from schemas.errors import NotFound, NotReady, ServiceError
from schemas.sensors import SensorAnswer, SensorEvent, SensorFault, SensorSpec
from service.coordination.agreement import FrameAnswer
from service.sensors.ingest.models import Line, Verdict
from service.sensors.ingest.ports import Door, Ending
from service.sensors.ingest.results import moment_of
from service.sensors.records import (
    Change,
    Claim,
    ClaimedEpoch,
    Entry,
    EpochRefused,
    Fate,
    Glance,
    Outcome,
    StoredSensor,
)


class Fuse:
    """Stops a process at one of its steps: what it awaits there never returns.

    Attributes:
        burnt: whether the step was reached.
    """

    def __init__(self, at: int | None = None) -> None:
        """``at``: number of the step, from 1; None for never."""
        self._at, self.steps, self.burnt = at, 0, asyncio.Event()

    async def step(self) -> None:
        """Pass a step, or stop for ever."""
        self.steps += 1
        if self.steps == self._at:
            self.burnt.set()
        if self.burnt.is_set():
            await asyncio.Event().wait()


@dataclass
class EpochRow:
    """The newest epoch of a sensor."""

    epoch: int
    owner: str | None = None
    safe: int = 0
    seen: float = 0.0


@dataclass
class MemoryStore:
    """Implements ``SensorStore``; survives the process.

    Attributes:
        is_away: every method raises ``NotReady``.
        check: called with each entry before it is stored.
    """

    sensors: dict[str, StoredSensor] = field(default_factory=dict)
    epochs: dict[str, EpochRow] = field(default_factory=dict)
    answers: dict[tuple[str, int, int], SensorAnswer] = field(default_factory=dict)
    events: list[SensorEvent] = field(default_factory=list)
    fuse: Fuse | None = None
    is_away: bool = False
    check: Callable[[Entry], None] = lambda _: None
    commits: int = 0

    def add(self, name: str, spec: SensorSpec) -> None:
        """Add a sensor, or change it."""
        before = self.sensors.get(name)
        if before is None:
            self.sensors[name] = StoredSensor(name, spec, is_paused=False, created=1.0)
        else:
            self.sensors[name] = replace(before, spec=spec, revision=before.revision + 1)

    def pause(self, name: str, *, is_paused: bool = True) -> None:
        """Pause or resume a sensor."""
        before = self.sensors[name]
        self.sensors[name] = replace(before, is_paused=is_paused, revision=before.revision + 1)

    def remove(self, name: str) -> None:
        """Remove a sensor."""
        del self.sensors[name]
        self.epochs.pop(name, None)

    async def _step(self) -> None:
        if self.fuse is not None:
            await self.fuse.step()
        if self.is_away:
            raise NotReady

    async def all(self) -> Sequence[StoredSensor]:
        """See ``SensorStore``."""
        return [self.sensors[name] for name in sorted(self.sensors)]

    async def get(self, name: str) -> StoredSensor | None:
        """See ``SensorStore``."""
        if self.is_away:
            raise NotReady
        return self.sensors.get(name)

    async def glance(self) -> Sequence[Glance]:
        """See ``SensorStore``."""
        if self.is_away:
            raise NotReady
        return [
            Glance(one.name, one.created, one.revision, one.is_paused, one.is_silent, one.seen)
            for one in self.sensors.values()
        ]

    async def claim(self, claim: Claim) -> ClaimedEpoch:
        """See ``SensorStore``."""
        await self._step()
        sensor = self.sensors.get(claim.sensor)
        if sensor is None:
            raise NotFound
        row = self.epochs.get(claim.sensor)
        if row is not None and claim.epoch != row.epoch:
            if row.owner not in {None, claim.former} and row.seen > claim.live_after:
                raise EpochRefused(SensorFault.IN_USE)
            if claim.epoch is not None and claim.epoch < row.epoch:
                raise EpochRefused(SensorFault.STALE_EPOCH)
        if row is None or claim.epoch != row.epoch:
            newest = -1 if row is None else row.epoch
            made = max(int(claim.now * 1000), newest + 1)
            row = EpochRow(made if claim.epoch is None else claim.epoch)
            self.epochs[claim.sensor] = row
        row.owner, row.seen = claim.owner, max(row.seen, claim.now)
        kept = [one for (name, _, _), one in self.answers.items() if name == claim.sensor]
        recent = kept[len(kept) - claim.recent :] if claim.recent else []
        await self._after()
        return ClaimedEpoch(row.epoch, row.safe, sensor, recent)

    async def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]:
        """See ``SensorStore``."""
        await self._step()
        self.commits += 1
        outcomes = [self._commit(entry) for entry in entries]
        await self._after()
        return outcomes

    async def _after(self) -> None:
        """A crash may come between the commit and its news."""
        if self.fuse is not None:
            await self.fuse.step()

    def _commit(self, entry: Entry) -> Outcome:
        sensor, row = self.sensors.get(entry.sensor), self.epochs.get(entry.sensor)
        if sensor is None:
            return Outcome(Fate.REMOVED)
        if entry.owner is not None:
            if row is None or (row.owner, row.epoch) != (entry.owner, entry.epoch):
                return Outcome(Fate.LOST)
            self.check(entry)
            row.safe, row.seen = entry.safe, entry.seen
            if entry.is_last:
                row.owner = None
        known = []
        for answer in entry.answers:
            key = entry.sensor, entry.epoch, answer.first_sequence
            if key in self.answers:
                known.append(self.answers[key])
            else:
                self.answers[key] = answer
        self.sensors[entry.sensor] = replace(sensor, seen=entry.seen)
        events = [
            event for change in entry.changes if (event := self._record(entry.sensor, change))
        ]
        return Outcome(Fate.COMMITTED, known, events)

    async def silence(self, sensor: str, *, seen_before: float, at: float) -> SensorEvent | None:
        """See ``SensorStore``."""
        if self.is_away:
            raise NotReady
        found = self.sensors[sensor]
        if found.is_paused or found.seen is None or found.seen >= seen_before:
            return None
        return self._record(sensor, Change("silent", at, found.state, found.state))

    def _record(self, name: str, change: Change) -> SensorEvent | None:
        sensor = self.sensors[name]
        if change.kind == "state":
            if sensor.state != change.previous:
                return None
            self.sensors[name] = replace(sensor, state=change.state, since=change.at)
        else:
            is_silent = change.kind == "silent"
            if sensor.is_silent is is_silent:
                return None
            self.sensors[name] = replace(sensor, is_silent=is_silent)
        at = moment_of(change.at)
        assert at is not None
        event = SensorEvent(
            id=len(self.events) + 1,
            sensor=name,
            at=at,
            kind=change.kind,
            state=change.state,
            previous=change.previous,
            score=change.score,
            model=change.model,
            version=change.version,
        )
        self.events.append(event)
        return event


@dataclass
class SumModels:
    """Implements ``Models``: the label is ``sum-N`` for a window whose numbers add up to N.

    Attributes:
        errors: raised by the next calls, one each.
        delay: called before each answer.
    """

    length: int
    errors: list[Exception] = field(default_factory=list)
    fuse: Fuse | None = None
    calls: int = 0
    label: Callable[[NDArray[np.float32]], str] = lambda values: f"sum-{float(values.sum()):g}"
    gate: asyncio.Event | None = None
    group = "sums"

    def length_of(self, spec: SensorSpec) -> int:
        """See ``Models``."""
        return spec.window or self.length

    def line(self, sensor: str, spec: SensorSpec, principal: Principal | None) -> SumModels:  # noqa: ARG002
        """See ``Models``."""
        return self

    async def classify(self, values: NDArray[np.float32]) -> Verdict:
        """See ``Line``."""
        self.calls += 1
        number = self.calls
        if self.fuse is not None:
            await self.fuse.step()
        if self.gate is not None:
            await self.gate.wait()
        for _ in range(number * 7 % 5):  # windows end in another order than they began
            await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        label = self.label(values)
        shown = [Prediction(label=label, index=0, score=0.9)]
        return Verdict(FrameAnswer(label, 0.9, {label: 0.9}), shown, "sums", 1)

    async def classify_each(
        self, lines: Sequence[Line], windows: Sequence[NDArray[np.float32]]
    ) -> Sequence[Verdict | ServiceError]:
        """See ``Line``."""
        results: list[Verdict | ServiceError] = []
        for line, values in zip(lines, windows, strict=True):
            try:
                results.append(await line.classify(values))
            except ServiceError as error:
                results.append(error)
        return results


class CountingMetrics:
    """Implements ``SensorMetrics``.

    Attributes:
        counts: by name of the method and labels.
        values: of gauges.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[object, ...]] = Counter()
        self.values: dict[tuple[object, ...], object] = {}

    def begin(self, sensor: str) -> None:
        """See ``SensorMetrics``."""

    def end(self, sensor: str) -> None:
        """See ``SensorMetrics``."""
        self.counts["end", sensor] += 1

    def count_samples(self, sensor: str, door: Door, samples: int) -> None:
        """See ``SensorMetrics``."""
        self.counts["samples", sensor, door] += samples

    def count_windows(self, sensor: str, windows: int) -> None:
        """See ``SensorMetrics``."""
        self.counts["windows", sensor] += windows

    def count_fault(self, sensor: str, fault: SensorFault, times: int = 1) -> None:
        """See ``SensorMetrics``."""
        self.counts["fault", sensor, fault] += times

    def count_gap(self, sensor: str, missing: int) -> None:
        """See ``SensorMetrics``."""
        self.counts["missing", sensor] += missing

    def observe_lag(self, seconds: float) -> None:
        """See ``SensorMetrics``."""
        assert seconds >= 0
        self.counts["lag",] += 1

    def set_channels(self, door: Door, channels: int) -> None:
        """See ``SensorMetrics``."""
        self.values["channels", door] = channels

    def set_buffer(self, held: int, limit: int) -> None:
        """See ``SensorMetrics``."""
        self.values["buffer",] = held, limit

    def set_silent(self, sensor: str, *, is_silent: bool) -> None:
        """See ``SensorMetrics``."""
        self.values["silent", sensor] = is_silent

    def set_state(self, sensor: str, state: str) -> None:
        """See ``SensorMetrics``."""
        self.values["state", sensor] = state

    def count_event(self, kind: str) -> None:
        """See ``SensorMetrics``."""
        self.counts["event", kind] += 1


@dataclass
class Heard:
    """Implements ``Listener``: keeps what a device is told."""

    results: list[SensorAnswer] = field(default_factory=list)
    safes: list[int] = field(default_factory=list)
    faults: list[SensorFault] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    credit: int = 0
    is_paused: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def safe(self, sequence: int, credit: int) -> None:
        """See ``Listener``."""
        assert not self.endings
        self.safes.append(sequence)
        self.credit = credit
        self.news.set()

    def result(self, answer: SensorAnswer) -> None:
        """See ``Listener``."""
        assert not self.endings
        self.results.append(answer)

    def fault(self, fault: SensorFault, detail: str) -> None:
        """See ``Listener``."""
        assert detail
        self.faults.append(fault)
        self.news.set()

    def pause(self) -> None:
        """See ``Listener``."""
        assert not self.is_paused
        self.is_paused = True
        self.news.set()

    def resume(self) -> None:
        """See ``Listener``."""
        assert self.is_paused
        self.is_paused = False
        self.news.set()

    def closed(self, reason: Ending) -> None:
        """See ``Listener``."""
        self.endings.append(reason)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true after a call."""
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()
