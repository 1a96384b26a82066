"""An intake in memory: windows are cut by number alone, and committed when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auth.principal import Principal
from schemas.errors import InvalidTensor, NotFound, Overloaded, ServiceError
from schemas.sensors import SensorAnswer, SensorFault, SensorSpec
from service.sensors.ingest.ports import Door, Ending, Listener, Samples

SPEC = SensorSpec(channels=1, rate=100, model="bearings")


@dataclass
class FakeChannel:
    """A channel whose samples become safe by ``commit``."""

    sensor: str
    epoch: int
    listener: Listener
    length: int
    stride: int
    spec: SensorSpec = SPEC
    next_sequence: int = 0
    received: int = 0
    credit: int = 2**20
    offered: list[Samples] = field(default_factory=list)
    faults: list[tuple[SensorFault, str]] = field(default_factory=list)
    is_closed: bool = False
    commits: bool = True
    is_full: bool = False
    touched: int = 0

    def offer(self, samples: Samples) -> int:
        if samples.values.ndim != 2 or samples.values.shape[1] != self.spec.channels:
            message = "wrong channels"
            raise InvalidTensor(message)
        if self.is_full:
            message = "beyond the credit"
            raise Overloaded(message, retry_after=1)
        self.offered.append(samples)
        first = self.received if samples.first is None else samples.first
        self.received = max(self.received, first + len(samples.values))
        if self.commits:
            asyncio.get_running_loop().call_soon(self.commit)
        return self.received

    def commit(self) -> None:
        """Make what is complete safe."""
        if self.received >= self.length:
            safe = ((self.received - self.length) // self.stride + 1) * self.stride
            if safe > self.next_sequence and not self.is_closed:
                self.next_sequence = safe
                self.listener.safe(safe, self.credit)

    def touch(self) -> None:
        self.touched += 1

    def report(self, fault: SensorFault, detail: str) -> None:
        self.faults.append((fault, detail))

    def end(self, reason: Ending) -> None:
        """End the channel, as the server does."""
        self.is_closed = True
        self.listener.closed(reason)

    async def close(self) -> None:
        self.is_closed = True

    @property
    def values(self) -> list[float]:
        """All samples of the first channel, in the order of their arrival."""
        return [float(value) for one in self.offered for value in one.values[:, 0]]


class FakeIntake:
    """Opens channels for ``sensors``; ``refusals`` are raised first."""

    def __init__(self, *sensors: str, length: int = 4, stride: int = 4) -> None:
        self.sensors, self.length, self.stride = set(sensors), length, stride
        self.spec, self.commits = SPEC, True
        self.channels: dict[tuple[str, int], FakeChannel] = {}
        self.opened = 0
        self.safe: dict[tuple[str, int], int] = {}
        self.refusals: list[ServiceError] = []
        self.messages: list[tuple[str, int | None, Sequence[Samples]]] = []

    async def open(
        self,
        sensor: str,
        *,
        epoch: int | None,
        principal: Principal | None,
        door: Door,
        listener: Listener,
    ) -> FakeChannel:
        del principal, door
        self.opened += 1
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.pop(0)
        self._check(sensor)
        number = self.opened if epoch is None else epoch
        safe = self.safe.get((sensor, number), 0)
        channel = FakeChannel(
            sensor, number, listener, self.length, self.stride, self.spec, safe, safe
        )
        channel.commits = self.commits
        self.channels[sensor, number] = channel
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
        del principal, door
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.pop(0)
        self._check(sensor)
        self.messages.append((sensor, epoch, messages))
        return []

    async def classify(
        self, sensor: str, window: NDArray[np.float32], *, principal: Principal | None
    ) -> SensorAnswer:
        raise NotImplementedError

    def subscribe(self, taker: Callable[[str, Sequence[SensorAnswer]], None]) -> Callable[[], None]:
        raise NotImplementedError

    def _check(self, sensor: str) -> None:
        if sensor not in self.sensors:
            message = "There is no sensor with this name."
            raise NotFound(message)

    def of(self, sensor: str) -> FakeChannel:
        """Return the newest channel of a sensor."""
        return [one for (name, _), one in self.channels.items() if name == sensor][-1]
