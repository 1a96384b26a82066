"""What is opened for which settings."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from observability.metrics.metrics import Metrics
from schemas.operator_error import OperatorError
from service.cameras.results import opening
from service.cameras.results.opening import MQTT_LEASE, WEBHOOK_LEASE, open_results
from service.cameras.results.webhooks import output_name
from service.coordination import turns
from service.coordination.ports import LeaseLost, OutputCursor
from service.settings.results import MqttSettings, WebhookSettings
from tests.support.repository import ROOT
from tests.support.results.fakes import FakeCameras, FakeCursors, FakeEvents, FakeLeases, event
from tests.support.results.receiver import Receiver, receiving
from tests.support.servers.databases import free_port
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio

SECRET = SecretStr("a secret of sixteen characters or more")


class Bench:
    """What ``open_results`` gets."""

    def __init__(
        self, mqtt: MqttSettings | None = None, webhooks: WebhookSettings | None = None
    ) -> None:
        self.mqtt, self.webhooks = mqtt or MqttSettings(), webhooks or WebhookSettings()
        self.events, self.cursors, self.leases = FakeEvents(), FakeCursors(), FakeLeases()
        self.metrics = Metrics()

    def opened(self) -> AbstractAsyncContextManager[None]:
        return open_results(
            self, self.events, FakeCameras(), self.cursors, self.leases, self.metrics
        )


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def webhooks(*urls: str) -> WebhookSettings:
    return WebhookSettings(urls=tuple(map(SecretStr, urls)), secret=SECRET)


async def test_nothing_is_opened_by_default() -> None:
    bench = Bench()
    async with bench.opened():
        await asyncio.sleep(0)
        assert bench.leases.held == []
    assert b"potoo_result_up{" not in bench.metrics.exposition("")[0]
    assert b"potoo_result_queue_depth{" not in bench.metrics.exposition("")[0]


async def test_outputs_hold_a_lease_each_until_exit(receiver: Receiver) -> None:
    mqtt = MqttSettings(host="127.0.0.1", port=free_port())
    bench = Bench(mqtt, webhooks(receiver.url))
    async with bench.opened():
        await eventually(lambda: set(bench.leases.held) == {MQTT_LEASE, WEBHOOK_LEASE})
    assert bench.leases.held == []


async def test_a_target_that_hangs_does_not_hold_up_others(receiver: Receiver) -> None:
    hanging, working = f"{receiver.url}/hang", f"{receiver.url}/works"
    bench = Bench(webhooks=webhooks(hanging, working))
    async with bench.opened():
        await eventually(lambda: len(bench.cursors.saved) == 2)
        bench.events.add(*(event(number) for number in range(1, 11)))
        await eventually(lambda: bench.cursors.saved[output_name(working)] == OutputCursor(10))
        assert bench.cursors.saved[output_name(hanging)] == OutputCursor(0)
        assert [one.path for one in receiver.requests].count("/hang") == 1


async def test_nothing_is_sent_without_the_lease(receiver: Receiver) -> None:
    bench = Bench(webhooks=webhooks(receiver.url))
    bench.leases.granted.clear()
    async with bench.opened():
        await asyncio.sleep(0)
        assert bench.cursors.saved == {}
        bench.leases.granted.set()
        await eventually(lambda: bool(bench.cursors.saved))


async def test_a_lost_lease_is_waited_for_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "RESTART_SECONDS", 0.01)
    bench = Bench(webhooks=webhooks(receiver.url))
    bench.leases.losses = [LeaseLost("lost"), RuntimeError("a bug")]
    with capture_logs() as lines:
        async with bench.opened():
            await eventually(lambda: bool(bench.leases.held) and not bench.leases.losses)
            await eventually(lambda: bool(bench.cursors.saved))
    assert [line["event"] for line in lines] == [
        "another process delivers results",
        "lease failed",
    ]


async def test_an_output_that_fails_is_started_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "RESTART_SECONDS", 0.01)
    bench = Bench(webhooks=webhooks(receiver.url))
    load, failures = bench.cursors.load, [RuntimeError("a bug")]

    async def load_later(name: str) -> OutputCursor | None:
        if failures:
            raise failures.pop()
        return await load(name)

    monkeypatch.setattr(bench.cursors, "load", load_later)
    with capture_logs() as lines:
        async with bench.opened():
            await eventually(lambda: bool(bench.cursors.saved))
    assert [line["event"] for line in lines] == ["output failed"]


async def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _: None)
    with pytest.raises(OperatorError, match=r"potoo\[mqtt\]"):
        async with Bench(MqttSettings(host="broker")).opened():
            pass


async def test_webhooks_without_a_secret_are_refused() -> None:
    bench = Bench(webhooks=WebhookSettings(urls=(SecretStr("https://hooks.example/a"),)))
    with pytest.raises(OperatorError, match=r"webhooks\.secret"):
        async with bench.opened():
            pass


async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for file in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        if file.name == "empty.pem":
            file.touch()
        settings = MqttSettings(host="broker", tls=True, ca_file=file)
        with pytest.raises(OperatorError, match=r"mqtt.ca_file: "):
            async with Bench(settings).opened():
                pass


@pytest.mark.process
def test_nothing_is_imported_for_outputs_that_are_not_configured() -> None:
    code = "import sys, service.cameras.results.opening; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"paho", "httpx", "sqlalchemy"} & set(done.stdout.split())
