"""Opens the outputs that are configured: one process of all delivers, by a lease each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeAlias

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from observability.metrics.result_metrics import ResultMetrics
from schemas.cameras import CameraEvent
from schemas.errors import NotReady
from schemas.operator_error import OperatorError
from service import __version__
from service.cameras.results.ports import Cameras
from service.coordination.ports import Cursors, Events, LeaseLost, Leases
from service.result_settings import MqttSettings, WebhookSettings, secret_key

if TYPE_CHECKING:
    from service.cameras.results.mqtt import MqttOutput
    from service.cameras.results.sending import Sender
    from service.cameras.results.webhooks import WebhookOutput

MQTT_LEASE, WEBHOOK_LEASE = "results:mqtt", "results:webhooks"
RESTART_SECONDS = 5.0
"""Pause after an output ended with an error that nobody expected."""
Run: TypeAlias = Callable[[], Awaitable[None]]
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
            await stack.enter_async_context(_working(leases, MQTT_LEASE, (output.run,)))
        if settings.webhooks.urls:
            from service.cameras.results.sending import open_sender  # imports httpx

            timeout = settings.webhooks.timeout_seconds
            sender = await stack.enter_async_context(open_sender(timeout))
            targets = _webhooks(settings.webhooks, sender, events, cursors, metrics.results)
            runs = [target.run for target in targets]
            await stack.enter_async_context(_working(leases, WEBHOOK_LEASE, runs))
        yield


def _mqtt(
    settings: MqttSettings,
    events: Events[CameraEvent],
    cameras: Cameras,
    cursors: Cursors,
    metrics: ResultMetrics,
) -> MqttOutput:
    if find_spec("paho") is None:
        raise OperatorError(MISSING)
    from service.cameras.results.discovery import Discovery
    from service.cameras.results.mqtt import NAME, MqttOutput
    from service.cameras.results.paho_link import BrokerAddress, PahoBroker
    from service.cameras.results.topics import Topics

    topics = Topics(settings.topic)
    address = BrokerAddress(
        host=settings.host or "",
        port=settings.effective_port,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        tls=_tls(settings),
    )
    return MqttOutput(
        PahoBroker(address, topics).open_link,
        topics=topics,
        discovery=Discovery(settings.discovery_prefix, topics, __version__),
        events=events,
        cameras=cameras,
        cursors=cursors,
        metrics=metrics.output("mqtt", NAME),
        max_waiting=settings.max_waiting,
    )


def _tls(settings: MqttSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"mqtt.ca_file: {error}") from error


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


@asynccontextmanager
async def _working(leases: Leases, lease: str, runs: Sequence[Run]) -> AsyncIterator[None]:
    """Run outputs in the background whenever this process holds the lease."""
    task = asyncio.create_task(_take_turns(leases, lease, runs), name=lease)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _take_turns(leases: Leases, lease: str, runs: Sequence[Run]) -> None:
    while True:
        try:
            async with leases.hold(lease), asyncio.TaskGroup() as group:
                for run in runs:
                    group.create_task(_steadily(run))
        except LeaseLost:
            get_logger("cameras").info("another process delivers results", lease=lease)
        except NotReady:  # the store logs why
            pass
        except Exception as error:  # noqa: BLE001 - as below
            get_logger("cameras").error("lease failed", lease=lease, exc_info=error)
        await asyncio.sleep(RESTART_SECONDS)


async def _steadily(run: Run) -> None:
    """Run an output, again after an error: it affects neither the server nor other outputs."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - an error of ours, or of a library
            get_logger("cameras").error("output failed", exc_info=error)
        else:  # it has nothing more to do until the next start
            await asyncio.Event().wait()
        await asyncio.sleep(RESTART_SECONDS)
