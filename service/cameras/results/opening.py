"""Opens the outputs that are configured: one process of all delivers, by a lease each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from observability.metrics.metrics import Metrics
from observability.metrics.result_metrics import ResultMetrics
from schemas.cameras import CameraEvent
from schemas.operator_error import OperatorError
from service import __version__
from service.cameras.results.ports import Cameras
from service.coordination.ports import Cursors, Events, Leases
from service.coordination.turns import working
from service.settings.results import MqttSettings, WebhookSettings, secret_key

if TYPE_CHECKING:
    from service.cameras.results.sending import Sender
    from service.cameras.results.webhooks import WebhookOutput
    from service.mqtt.output import Output

MQTT_LEASE, WEBHOOK_LEASE = "results:mqtt", "results:webhooks"
UNSIGNED = "webhooks.secret is not set: it signs the events for webhooks.urls"
MISSING = 'mqtt.host is set, which needs paho-mqtt: pip install "potoo[mqtt]"'


class ResultSettings(Protocol):
    """The groups of settings that outputs have."""

    @property
    def mqtt(self) -> MqttSettings:
        """The broker."""

    @property
    def webhooks(self) -> WebhookSettings:
        """The URLs."""


@asynccontextmanager
async def open_results(
    settings: ResultSettings,
    events: Events[CameraEvent],
    cameras: Cameras,
    cursors: Cursors,
    leases: Leases,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Deliver events and states of cameras until exit. Without configuration nothing is imported.

    Raises:
        OperatorError: paho-mqtt is missing, the file of authorities cannot be read, or webhooks
            have no secret.
    """
    async with AsyncExitStack() as stack:
        if settings.mqtt.host:
            output = _mqtt(settings.mqtt, events, cameras, cursors, metrics.results)
            await stack.enter_async_context(working(leases, MQTT_LEASE, (output.run,)))
        if settings.webhooks.urls:
            from service.cameras.results.sending import open_sender  # imports httpx

            timeout = settings.webhooks.timeout_seconds
            sender = await stack.enter_async_context(open_sender(timeout))
            targets = _webhooks(settings.webhooks, sender, events, cursors, metrics.results)
            runs = [target.run for target in targets]
            await stack.enter_async_context(working(leases, WEBHOOK_LEASE, runs))
        yield


def _mqtt(
    settings: MqttSettings,
    events: Events[CameraEvent],
    cameras: Cameras,
    cursors: Cursors,
    metrics: ResultMetrics,
) -> Output[CameraEvent]:
    if find_spec("paho") is None:
        raise OperatorError(MISSING)
    from service.cameras.results.mqtt import NAME, CameraMessages
    from service.cameras.results.topics import Topics
    from service.mqtt.address import broker_address
    from service.mqtt.discovery import Discovery
    from service.mqtt.output import Output
    from service.mqtt.paho_link import PahoBroker

    topics = Topics(settings.topic)
    discovery = Discovery(settings.discovery_prefix, topics, __version__)
    return Output(
        NAME,
        PahoBroker(broker_address(settings), topics).open_link,
        status=topics.status,
        devices=CameraMessages(cameras, topics, discovery),
        events=events,
        cursors=cursors,
        metrics=metrics.output("mqtt", NAME),
        max_waiting=settings.max_waiting,
    )


def _webhooks(
    settings: WebhookSettings,
    sender: Sender,
    events: Events[CameraEvent],
    cursors: Cursors,
    metrics: ResultMetrics,
) -> list[WebhookOutput]:
    from service.cameras.results.signing import Signer
    from service.cameras.results.webhooks import WebhookOutput, output_name

    urls = [url.get_secret_value() for url in settings.urls]
    # The commands use the same settings, but not the secrets of the service.
    if settings.secret is None:
        raise OperatorError(UNSIGNED)
    key = secret_key(settings.secret.get_secret_value())
    return [
        WebhookOutput(
            url,
            signer=Signer(key, name, f"Potoo/{__version__}"),
            sender=sender,
            events=events,
            cursors=cursors,
            metrics=metrics.output("webhook", name),
            attempts=settings.attempts,
        )
        for url, name in ((url, output_name(url)) for url in urls)
    ]
