"""Takes samples from the broker and publishes answers there.

One process of all does each, by a lease; with a shared subscription every process receives.
Nothing of paho is imported before it is known to be installed.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import NotReady, ServiceError
from schemas.operator_error import OperatorError
from schemas.sensors import SensorSpec
from service import __version__
from service.coordination.ports import Cursors, LeaseLost, Leases
from service.coordination.turns import RESTART_SECONDS, working
from service.sensors.mqtt.topics import SensorTopics
from service.sensors.opening import Sensors, SeriesModels
from service.settings import Settings

if TYPE_CHECKING:
    from service.mqtt.output import Output
    from service.sensors.mqtt.receiver import Receiver
    from service.sensors.records import KeptAnswer

RESULTS_LEASE, INGEST_LEASE = "results:mqtt:sensors", "sensors:mqtt"
MISSING = 'sensors.mqtt is set, which needs paho-mqtt: pip install "potoo[mqtt]"'
RECEIVE_MAXIMUM = 2000
"""Messages that the broker sends before the first is acknowledged: at least one a sensor."""
MAX_HELD_BYTES = 128 * 2**20
SLOTS = 64
"""Processes that share a subscription at most."""
SLOT_SECONDS = 12.0
"""To wait for a slot: longer than the lease of a killed process lasts (8 s). Its session has
messages, and gets its share of new ones: a process with the next slot would leave them there.
"""
SPEC_SECONDS = 2.0
"""For which a configuration is remembered."""
MAX_SPECS = 10_000
MAX_WAITING = 100_000
"""Answers that wait while the broker is away; the oldest are dropped."""


@asynccontextmanager
async def open_sensor_mqtt(
    settings: Settings,
    sensors: Sensors,
    models: SeriesModels,
    cursors: Cursors,
    leases: Leases,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Receive and publish until exit; called if ``sensors.mqtt`` is set.

    Raises:
        OperatorError: there is no broker, paho-mqtt is missing, or the file of authorities cannot
            be read.
    """
    if settings.mqtt.host is None:
        raise OperatorError("sensors.mqtt is set, which needs mqtt.host")
    if find_spec("paho") is None:
        raise OperatorError(MISSING)
    topics = SensorTopics(settings.mqtt.topic)
    receivers = _Receivers(settings, sensors, models, topics, metrics)
    async with AsyncExitStack() as stack:
        output = _output(settings, sensors, topics, cursors, metrics)
        await stack.enter_async_context(working(leases, RESULTS_LEASE, (output.run,)))
        filters = [topics.every_framed]
        if group := settings.sensors.mqtt_group:
            shared = f"$share/{group}/{topics.every_data}"
            task = asyncio.create_task(_in_a_slot(leases, receivers, shared))
            stack.push_async_callback(_stop, task)
        else:
            filters.append(topics.every_data)
        receiver = receivers.make(filters)
        await stack.enter_async_context(working(leases, INGEST_LEASE, (receiver.run,)))
        yield


class _Receivers:
    """Makes receivers."""

    def __init__(
        self,
        settings: Settings,
        sensors: Sensors,
        models: SeriesModels,
        topics: SensorTopics,
        metrics: Metrics,
    ) -> None:
        from service.mqtt.address import broker_address

        self._settings, self._sensors, self._models = settings, sensors, models
        self._topics, self._metrics = topics, metrics
        self._address = broker_address(settings.mqtt)
        self._up = metrics.results.output("mqtt_ingest", "mqtt_ingest").up

    def make(self, filters: Sequence[str], suffix: str = "") -> Receiver:
        """Return a receiver; ``suffix``: of the client's id."""
        from service.sensors.mqtt.receiver import Receiver
        from service.sensors.mqtt.subscription import (
            SubscriptionOptions,
            client_id,
            open_subscription,
        )

        options = SubscriptionOptions(
            client_id(self._topics.root, suffix),
            filters,
            self._settings.sensors.mqtt_session_seconds,
            RECEIVE_MAXIMUM,
            MAX_HELD_BYTES,
        )
        return Receiver(
            lambda take: open_subscription(self._address, options, take),
            self._sensors.intake,
            self._topics,
            names=self._names,
            count=self._metrics.sensors.count_mqtt_messages,
            up=lambda is_up: self._up(is_up=is_up),
            max_frame_bytes=self._settings.sensors.max_frame_bytes,
            shared_specs=_Specs(self._sensors).of if suffix else None,
        )

    def _names(self, model: str) -> Sequence[str]:
        with suppress(ServiceError):
            return self._models.series_spec(model).channel_names
        return ()


class _Specs:
    """Configurations of sensors, read again after a while."""

    def __init__(self, sensors: Sensors, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory, self._clock = sensors.directory, clock
        self._kept: dict[str, tuple[float, SensorSpec | None]] = {}

    async def of(self, sensor: str) -> SensorSpec | None:
        """Return the configuration of a sensor; None if there is none."""
        until, spec = self._kept.get(sensor, (0.0, None))
        if self._clock() >= until:
            found = await self._directory.get(sensor)
            spec = found.spec if found else None
            while len(self._kept) >= MAX_SPECS:
                del self._kept[next(iter(self._kept))]
            self._kept[sensor] = self._clock() + SPEC_SECONDS, spec
        return spec


def _output(
    settings: Settings, sensors: Sensors, topics: SensorTopics, cursors: Cursors, metrics: Metrics
) -> Output[KeptAnswer]:
    from service.mqtt.address import broker_address
    from service.mqtt.discovery import SENSOR, Discovery
    from service.mqtt.output import Output
    from service.mqtt.paho_link import PahoBroker
    from service.sensors.mqtt.results import NAME, PACE, SensorMessages

    discovery = Discovery(settings.mqtt.discovery_prefix, topics, __version__, SENSOR)
    return Output(
        NAME,
        PahoBroker(broker_address(settings.mqtt), topics).open_link,
        status=topics.status,
        devices=SensorMessages(sensors.directory, topics, discovery),
        events=sensors.answers,
        cursors=cursors,
        metrics=metrics.results.output("mqtt_sensors", NAME),
        max_waiting=MAX_WAITING,
        pace=PACE,
    )


async def _in_a_slot(leases: Leases, receivers: _Receivers, shared: str) -> None:
    """Receive from the shared subscription, under an id that no other process has now.

    Ids are few and used again: the broker keeps the session of a process that died for its heir.
    """
    for slot in itertools.cycle(range(SLOTS)):
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(SLOT_SECONDS):
                    await stack.enter_async_context(leases.hold(f"{INGEST_LEASE}:{slot}"))
                await receivers.make([shared], f"s{slot}").run()
        except (TimeoutError, NotReady):
            continue
        except LeaseLost:
            get_logger("sensors").info("another process took over", lease=slot)
        except Exception as error:  # noqa: BLE001 - an error of ours, or of a library
            get_logger("sensors").error("receiver failed", exc_info=error)
            await asyncio.sleep(RESTART_SECONDS)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
