"""An intake on a store and models in memory, with a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.sensors import SensorSpec
from service.sensors.ingest.channel import LiveChannel
from service.sensors.ingest.intake import SampleIntake
from service.sensors.ingest.ports import Samples
from service.sensors.ingest.sharing import Limits
from tests.support.sensors.fake_intake import CountingMetrics, Heard, MemoryStore, SumModels

NAME = "pump"
LENGTH, CHANNELS = 4, 2


class Clock:
    """A clock that tests move; starts at a time of day."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def samples_of(first: int, end: int) -> NDArray[np.float32]:
    """Return samples of two channels that have the sequence as their numbers."""
    rows = np.arange(first, end, dtype=np.float32)[:, np.newaxis]
    return np.repeat(rows, CHANNELS, axis=1)


def spec_of(**changes: object) -> SensorSpec:
    """Return the configuration of the sensor with some members changed."""
    values: dict[str, object] = {"channels": CHANNELS, "rate": 100, "model": "sums"}
    return SensorSpec.model_validate(values | changes)


@dataclass
class Site:
    """An intake and what is around it."""

    store: MemoryStore = field(default_factory=MemoryStore)
    models: SumModels = field(default_factory=lambda: SumModels(LENGTH))
    metrics: CountingMetrics = field(default_factory=CountingMetrics)
    clock: Clock = field(default_factory=Clock)
    limits: Limits = field(default_factory=Limits)
    intakes: list[SampleIntake] = field(default_factory=list)

    def start(self) -> SampleIntake:
        """Start a process."""
        intake = SampleIntake(
            self.store,
            self.models,
            self.metrics,
            self.limits,
            on_event=lambda event: self.metrics.count_event(event.kind),
            commit_interval=0.0,
            clock=self.clock,
            monotonic=self.clock,
        )
        intake.start()
        self.intakes.append(intake)
        return intake

    @property
    def intake(self) -> SampleIntake:
        """The only process."""
        return self.intakes[0] if self.intakes else self.start()

    async def open(self, epoch: int | None = 1, name: str = NAME) -> tuple[LiveChannel, Heard]:
        """Open a channel of the only process."""
        heard = Heard()
        channel = await self.intake.open(
            name, epoch=epoch, principal=None, door="tcp", listener=heard
        )
        return channel, heard


def offer(channel: LiveChannel, first: int, end: int) -> int:
    """Offer the samples of a span."""
    return channel.offer(Samples(first, samples_of(first, end)))
