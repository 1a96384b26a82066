"""Messages of a shared subscription: any replica gets any of them, so each holds whole windows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from schemas.errors import InvalidTensor, NotFound, NotReady, Overloaded, ServiceError
from schemas.sensors import SensorSpec
from service.coordination.retrying import Clock, backoff
from service.sensors.ingest.ports import Intake, Samples
from service.sensors.mqtt.feed import LONGEST_SECONDS, MAX_WAITING, Fate
from service.sensors.mqtt.payloads import BadPayload, read_payload
from service.sensors.mqtt.subscription import Delivery

SpecOf = Callable[[str], Awaitable[SensorSpec | None]]
"""Return the configuration of a sensor, None if there is none; raises ``NotReady``."""
TOGETHER = 32
"""Messages of one sensor that are committed together."""


@dataclass(frozen=True, slots=True)
class MessageTools:
    """Shared by the queues of all sensors.

    Attributes:
        acknowledge: lets the broker forget a message.
        count: counts messages that were not taken; with a reason for the log.
        names: of the channels of a model, for line protocol.
    """

    intake: Intake
    spec_of: SpecOf
    acknowledge: Callable[[Delivery], None]
    count: Callable[[str, Fate, str], None]
    names: Callable[[str], Sequence[str]]
    clock: Clock = Clock()  # noqa: RUF009 - frozen


class MessageQueue:
    """Messages of one sensor; each is acknowledged after the commit of its windows."""

    def __init__(
        self, sensor: str, tools: MessageTools, on_end: Callable[[MessageQueue], None]
    ) -> None:
        """``on_end``: called when nothing waits."""
        self.sensor = sensor
        self._tools, self._on_end = tools, on_end
        self._waiting: list[Delivery] = []
        self._work: asyncio.Task[None] | None = None

    def take(self, delivery: Delivery) -> None:
        """Take a message; it is acknowledged in time."""
        if len(self._waiting) >= MAX_WAITING:
            self._refuse(delivery, "dropped", "too many messages wait")
            return
        self._waiting.append(delivery)
        if self._work is None:
            self._work = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; what is not committed comes again, to any replica."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while self._waiting:
            batch = self._waiting[:TOGETHER]
            try:
                await self._commit(batch)
            except (NotReady, Overloaded):
                failures += 1
                pause = backoff(failures, LONGEST_SECONDS, self._tools.clock.jitter)
                await self._tools.clock.sleep(pause)
                continue
            failures = 0
            del self._waiting[: len(batch)]
        self._work = None
        self._on_end(self)

    async def _commit(self, batch: list[Delivery]) -> None:
        """Commit the windows of messages; acknowledge all of them, or raise.

        Raises:
            NotReady, Overloaded: nothing was committed; try again.
        """
        spec = await self._tools.spec_of(self.sensor)
        if spec is None:
            for delivery in batch:
                self._refuse(delivery, "unknown", "there is no such sensor")
            return
        groups: dict[int | None, list[tuple[Delivery, Samples]]] = {}
        for delivery in batch:
            if delivery.is_done:
                continue
            try:
                payload = read_payload(
                    delivery.payload,
                    spec.channels,
                    delivery.content_type,
                    self._tools.names(spec.model),
                )
            except BadPayload as error:
                self._refuse(delivery, "malformed", str(error))
                continue
            samples = Samples(payload.first, payload.values, payload.at)
            groups.setdefault(payload.epoch, []).append((delivery, samples))
        for epoch, group in groups.items():
            await self._commit_group(epoch, group)

    async def _commit_group(self, epoch: int | None, group: list[tuple[Delivery, Samples]]) -> None:
        # Without numbers each message begins at 0: one id of the server for each.
        parts = [[one] for one in group] if epoch is None else [group]
        for part in parts:
            try:
                await self._tools.intake.classify_messages(
                    self.sensor,
                    [samples for _, samples in part],
                    epoch=epoch,
                    principal=None,
                    door="mqtt",
                )
            except (NotReady, Overloaded):
                raise
            except NotFound as error:
                self._refuse_all(part, "unknown", error.detail)
            except InvalidTensor as error:
                self._refuse_all(part, "malformed", error.detail)
            except ServiceError as error:
                self._refuse_all(part, "refused", error.detail)
            else:
                for delivery, _ in part:
                    self._tools.acknowledge(delivery)

    def _refuse_all(self, part: list[tuple[Delivery, Samples]], fate: Fate, detail: str) -> None:
        for delivery, _ in part:
            self._refuse(delivery, fate, detail)

    def _refuse(self, delivery: Delivery, fate: Fate, detail: str) -> None:
        self._tools.count(self.sensor, fate, detail)
        self._tools.acknowledge(delivery)
