"""The one way of samples into the server: channels, messages and single windows."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from observability.logs.logging import get_logger
from schemas.errors import (
    InvalidTensor,
    NotReady,
    Overloaded,
    ServiceError,
)
from schemas.sensors import SensorAnswer, SensorEvent, SensorFault
from service.sensors.ingest.channel import LiveChannel
from service.sensors.ingest.claims import Claims
from service.sensors.ingest.committing import INTERVAL_SECONDS, Committer
from service.sensors.ingest.definitions import Follower
from service.sensors.ingest.lanes import Dispatcher
from service.sensors.ingest.load import Budget
from service.sensors.ingest.messages import MadeIds, MessageBatch, windows_of
from service.sensors.ingest.models import Models
from service.sensors.ingest.ports import Door, Listener, SensorMetrics, SensorStore
from service.sensors.ingest.results import answer_of
from service.sensors.ingest.sharing import Ended, Limits, Memory, Tools
from service.sensors.ingest.states import StateVotes
from service.sensors.ingest.tracking import Tracked, Tracker
from service.sensors.records import (
    EpochRefused,
    Fate,
    Outcome,
    StoredSensor,
)
from service.sensors.windows.samples import Cut, Samples, Window

__all__ = ["Limits", "SampleIntake"]
STOPPING = "The server stops."
DOORS: tuple[Door, ...] = ("tcp", "raw_tcp", "mqtt", "http")
AnswersTaker = Callable[[str, Sequence[SensorAnswer]], None]
EventTaker = Callable[[SensorEvent], None]


class SampleIntake:
    """Implements the port ``Intake``.

    Attributes:
        tracker: what is known of the sensors that this process receives.
    """

    def __init__(
        self,
        store: SensorStore,
        models: Models,
        metrics: SensorMetrics,
        limits: Limits,
        *,
        on_event: EventTaker = lambda _: None,
        commit_interval: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Build an intake; ``start`` begins its work.

        Args:
            on_event: called with each kept event.
            commit_interval: seconds between the starts of two transactions.
            clock: seconds since the epoch.
            monotonic: as ``time.monotonic``.
        """
        self._store, self._models, self._metrics, self._limits = store, models, metrics, limits
        self._on_event, self._clock, self._monotonic = on_event, clock, monotonic
        self._committer, self._dispatcher = Committer(store, interval=commit_interval), Dispatcher()
        self._memory = Memory(limits.buffer_bytes)
        self._channels: dict[str, LiveChannel] = {}
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._takers: list[AnswersTaker] = []
        self._ids = MadeIds(clock())
        self._reserved = 0  # bytes: two windows of each channel
        self._is_draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self.tracker = Tracker(metrics, monotonic=monotonic)
        self._tools = Tools(
            self._dispatcher,
            self._committer,
            self._memory,
            on_outcome=self._publish,
            on_end=self._forget,
            clock=clock,
            monotonic=monotonic,
        )
        self._follower = Follower(
            store,
            self.tracker,
            self._channels,
            metrics,
            on_event=self._announce,
            on_tick=self._show,
            clock=clock,
        )

        self._claims = Claims(
            store,
            models,
            lambda: self._follower.sensors,
            idle_seconds=limits.idle_seconds,
            clock=clock,
        )

    @property
    def sensors(self) -> Mapping[str, StoredSensor]:
        """The stored sensors by name, as they were a second ago."""
        return self._follower.sensors

    def start(self) -> None:
        """Begin to commit and to follow the store."""
        for work in (self._committer.run(), self._follower.run()):
            self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        """Refuse new channels, commit what is complete, and end: at most 6 seconds."""
        self._is_draining = True
        await asyncio.gather(*(one.drain() for one in list(self._channels.values())))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._dispatcher.close()
        self.tracker.flush()

    def nudge(self) -> None:
        """Look at the definitions at once: this process has changed them."""
        self._follower.nudge()

    def subscribe(self, taker: AnswersTaker) -> Callable[[], None]:
        """See ``Intake``."""
        self._takers.append(taker)

        def end() -> None:
            with suppress(ValueError):
                self._takers.remove(taker)

        return end

    async def open(
        self,
        sensor: str,
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
        listener: Listener,
    ) -> LiveChannel:
        """See ``Intake``."""
        # Of two at once, the one that claims last keeps the epoch.
        lock = self._opening.get(sensor)
        if lock is None:
            lock = self._opening[sensor] = asyncio.Lock()
        async with lock:
            return await self._open(sensor, epoch, principal, door, listener)

    async def _open(
        self,
        sensor: str,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
        listener: Listener,
    ) -> LiveChannel:
        stored, cut = await self._sensor(sensor, principal)
        other = self._channels.get(sensor)
        if other is not None and other.is_left and other.epoch != epoch:
            await other.close()  # its device is gone: let it commit what is complete
            other = self._channels.get(sensor)
        if other is None:
            self._check_room(cut)
        elif other.epoch != epoch:
            left = other.active_at + self._claims.idle_seconds(epoch) - self._monotonic()
            if left > 0:
                raise EpochRefused(SensorFault.IN_USE, retry_after=left)
        owner = secrets.token_hex(16)
        known = self.tracker.get(sensor)
        former = known.former if known is not None and other is None else None
        claimed = await self._claims.claim(stored, epoch, owner, former)
        try:
            if self._is_draining:
                raise NotReady(STOPPING, retry_after=1)
            if claimed.sensor.revision != stored.revision:  # changed meanwhile
                stored = claimed.sensor
                cut = self._claims.cut_of(stored, principal)
        except ServiceError:
            await self._claims.release(claimed, owner)
            raise
        if (other := self._channels.get(sensor)) is not None:
            other.end("replaced", is_released=False)
        tracked = self.tracker.begin(sensor, is_silent=claimed.sensor.is_silent)
        channel = LiveChannel(
            claimed,
            owner,
            cut,
            self._models.line(sensor, stored.spec, principal),
            door,
            listener,
            tracked,
            self._tools,
            most_bytes=self._limits.channel_bytes,
        )
        self._channels[sensor] = channel
        self._reserved += channel.least_bytes
        self._memory.channels = len(self._channels)
        return channel

    async def classify_messages(
        self,
        sensor: str,
        messages: Sequence[Samples],
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
    ) -> Sequence[SensorAnswer]:
        """See ``Intake``."""
        stored, cut = await self._sensor(sensor, principal)
        size = sum(message.values.nbytes for message in messages)
        if not self._memory.has_room(size):
            raise Overloaded(retry_after=1)
        tracked = self.tracker.get(sensor)
        if tracked is None:
            tracked = self.tracker.begin(sensor, is_silent=stored.is_silent)
        tracked.door = door
        if epoch is None:
            epoch = self._ids.epoch
            messages = [self._ids.number(sensor, cut, one) for one in messages]
        windows = windows_of(messages, cut, tracked, arrived=self._monotonic(), now=self._clock())
        line = self._models.line(sensor, stored.spec, principal)
        votes = await self._votes_of(stored, tracked)
        return await MessageBatch(sensor, epoch, windows, line, votes, tracked, self._tools).run()

    async def classify(
        self, sensor: str, window: NDArray[np.float32], *, principal: Principal | None
    ) -> SensorAnswer:
        """See ``Intake``."""
        stored, cut = await self._sensor(sensor, principal)
        if window.shape != (cut.length, cut.channels):
            message = f"The window must have the shape [{cut.length}, {cut.channels}]."
            raise InvalidTensor(message)
        verdict = await self._models.line(sensor, stored.spec, principal).classify(window)
        return answer_of(0, Window(0, window, 0, None, 0.0), verdict, self._clock())

    async def _sensor(self, name: str, principal: Principal | None) -> tuple[StoredSensor, Cut]:
        if self._is_draining:
            raise NotReady(STOPPING, retry_after=1)
        return await self._claims.sensor(name, principal)

    def _check_room(self, cut: Cut) -> None:
        least = Budget.of(cut).bytes_of(2)
        if len(self._channels) >= self._limits.channels:
            raise Overloaded("There are too many channels.", retry_after=5)
        if self._reserved + least > self._limits.buffer_bytes:
            raise Overloaded("There is no memory for another sensor.", retry_after=5)

    async def _votes_of(self, stored: StoredSensor, tracked: Tracked) -> StateVotes:
        """Return the votes of messages in this process."""
        if tracked.votes is None or tracked.votes.revision != stored.revision:
            found = await self._store.get(stored.name) or stored
            tracked.votes = StateVotes(found, ())
        return tracked.votes

    def _publish(self, sensor: str, answers: Sequence[SensorAnswer], outcome: Outcome) -> None:
        fresh = len(answers) - len(outcome.known)
        if fresh:
            self._metrics.count_windows(sensor, fresh)
        for event in outcome.events:
            self._announce(event)
        for taker in self._takers if answers else ():
            try:
                taker(sensor, answers)
            except Exception:  # noqa: BLE001 - the others go on
                get_logger("sensors").exception("answers not published: this is a bug")

    def _announce(self, event: SensorEvent) -> None:
        if event.kind == "state" and event.state is not None:
            self._metrics.set_state(event.sensor, event.state)
        elif event.kind != "state":
            self._metrics.set_silent(event.sensor, is_silent=event.kind == "silent")
        self._on_event(event)

    def _forget(self, channel: Ended, fate: Fate | None) -> None:
        if self._channels.get(channel.sensor) is channel:
            del self._channels[channel.sensor]
        self._reserved -= channel.least_bytes
        self._memory.channels = len(self._channels)
        if fate is Fate.LOST and channel.sensor not in self._channels:
            self.tracker.forget(channel.sensor)  # another process receives it

    def _show(self) -> None:
        counts = Counter(channel.door for channel in self._channels.values())
        for door in DOORS:
            self._metrics.set_channels(door, counts[door])
        self._metrics.set_buffer(self._memory.held, self._memory.limit)
        self._tools.resume()
