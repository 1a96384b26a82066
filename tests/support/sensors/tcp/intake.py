"""An intake without a model or a store, for tests of the ports."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from auth.principal import Principal
from schemas.errors import InvalidTensor, NotFound, Overloaded
from schemas.sensor_wire.packing import Samples as Values
from schemas.sensors import SensorAnswer, SensorFault, SensorSpec
from service.sensors.ingest.ports import Channel, Door, Ending, Intake, Listener, Samples
from service.sensors.records import EpochRefused

WINDOW = 4


def spec(channels: int = 1) -> SensorSpec:
    return SensorSpec(channels=channels, rate=100, model="tiny", window=WINDOW)


def answer(epoch: int, first: int) -> SensorAnswer:
    """An answer for the window that begins at ``first``."""
    return SensorAnswer(
        epoch=epoch,
        first_sequence=first,
        label="calm",
        score=0.75,
        predictions=[],
        model="tiny",
        version=1,
        at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        sampled_at=None,
    )


@dataclass
class FakeChannel:
    """Windows of ``WINDOW`` samples; commits at once while ``commits``, else at ``commit``.

    Attributes:
        calls: what was called, in order.
    """

    sensor: str
    spec: SensorSpec
    epoch: int
    listener: Listener
    next_sequence: int
    door: Door = "tcp"
    principal: Principal | None = None
    length: int = WINDOW
    stride: int = WINDOW
    received: int = 0
    credit: int = 64 * 1024
    most_bytes: int = 2**20
    commits: bool = True
    values: list[Values] = field(default_factory=list)
    offered: list[Samples] = field(default_factory=list)
    faults: list[SensorFault] = field(default_factory=list)
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False
    touches: int = 0
    fails_to_close: bool = False

    def offer(self, samples: Samples) -> int:
        if samples.values.shape[1] != self.spec.channels:
            raise InvalidTensor
        first = self.received if samples.first is None else samples.first
        if (first - self.next_sequence) * samples.values[0].nbytes > self.most_bytes:
            raise Overloaded
        self.offered.append(samples)
        self.values.append(samples.values)
        self.received = max(self.received, first + len(samples.values))
        if self.commits:
            self.commit()
        return self.received

    def commit(self) -> None:
        """Answer the complete windows."""
        while self.received - self.next_sequence >= self.stride:
            self.listener.result(answer(self.epoch, self.next_sequence))
            self.next_sequence += self.stride
        self.listener.safe(self.next_sequence, self.credit)

    def touch(self) -> None:
        self.touches += 1

    def report(self, fault: SensorFault, detail: str) -> None:
        assert detail
        self.faults.append(fault)

    async def close(self) -> None:
        if self.fails_to_close:
            raise ZeroDivisionError
        if not self.is_closed:
            self.is_closed = True
            self.commit()
            self.closing.set()

    @property
    def samples(self) -> Values:
        """All samples that were offered."""
        return np.concatenate(self.values)


class FakeIntake:
    """Sensors by name; one live channel each, as the real one has it."""

    def __init__(self, **channels: int) -> None:
        """``channels``: of each sensor."""
        self.specs = {name.replace("_", "-"): spec(number) for name, number in channels.items()}
        self.opened: list[FakeChannel] = []
        self.safe: dict[tuple[str, int], int] = {}
        self.asked = asyncio.Event()
        self.delay: asyncio.Event | None = None
        self.commits = True
        self.most_bytes = 2**20

    @property
    def as_intake(self) -> Intake:
        return cast("Intake", self)

    def live(self, sensor: str) -> FakeChannel | None:
        found = [one for one in self.opened if one.sensor == sensor and not one.is_closed]
        return found[-1] if found else None

    async def open(
        self,
        sensor: str,
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
        listener: Listener,
    ) -> Channel:
        self.asked.set()
        if self.delay is not None:
            await self.delay.wait()
        if sensor not in self.specs:
            raise NotFound
        newest = max([one.epoch for one in self.opened if one.sensor == sensor], default=0)
        epoch = newest + 1 if epoch is None else epoch
        live = self.live(sensor)
        if live is not None and live.epoch != epoch:
            raise EpochRefused(SensorFault.IN_USE, retry_after=2)
        if epoch < newest:
            raise EpochRefused(SensorFault.STALE_EPOCH)
        if live is not None:
            self.end(live, "replaced")
        safe = max(
            [o.next_sequence for o in self.opened if (o.sensor, o.epoch) == (sensor, epoch)],
            default=0,
        )
        channel = FakeChannel(
            sensor, self.specs[sensor], epoch, listener, safe, door, principal, received=safe
        )
        channel.commits, channel.most_bytes = self.commits, self.most_bytes
        self.opened.append(channel)
        return channel

    def end(self, channel: FakeChannel, reason: Ending) -> None:
        """End a channel by the server."""
        channel.is_closed = True
        channel.listener.closed(reason)


def values_of(count: int, channels: int = 1, first: int = 0) -> Values:
    """Samples whose numbers count on."""
    numbers = np.arange(first * channels, (first + count) * channels, dtype=np.float32)
    return numbers.reshape(count, channels)


def joined(pieces: Sequence[Values]) -> Values:
    return np.concatenate(list(pieces))
