"""An MQTT output against a real broker, with fakes of the store around it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from observability.metrics.metrics import Metrics
from service.cameras.results.opening import open_results
from service.settings.results import MqttSettings, WebhookSettings
from tests.support.results.fakes import FakeCameras, FakeCursors, FakeEvents, FakeLeases


class MqttBench:
    """Arguments of ``open_results``. ``settings`` may be replaced before ``running``."""

    def __init__(self, port: int, **settings: object) -> None:
        self.webhooks = WebhookSettings()
        values = {"host": "127.0.0.1", "port": port, "topic": f"t{random.getrandbits(48):x}"}
        self.mqtt = MqttSettings.model_validate({**values, **settings})
        self.events, self.cameras = FakeEvents(), FakeCameras()
        self.cursors, self.leases = FakeCursors(), FakeLeases()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    @property
    def topic(self) -> str:
        return self.mqtt.topic

    def number(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"output": "mqtt", **labels})

    @property
    def is_up(self) -> bool:
        return self.number("potoo_result_up") == 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with open_results(
            self, self.events, self.cameras, self.cursors, self.leases, self.metrics
        ):
            yield
