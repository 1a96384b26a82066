"""Measure the loss of a broker alone, for devices that only publish.

``python -m benchmarks.streams.broker_loss``: mosquitto acknowledges each message (QoS 1), and then

- ``subscriber_away``: the server is away for a while, which a persistent session bridges;
- ``overflow``: the server is away for longer than the broker's queue reaches;
- ``killed``: the broker is killed (SIGKILL) with messages in its queue, and started again;
- ``killed_online``: the same while the server takes them.

The device repeats nothing; a message that was acknowledged and never reached the server is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.support import results
from service.mqtt.address import BrokerAddress
from service.sensors.mqtt.subscription import (
    Delivery,
    Subscription,
    SubscriptionOptions,
    open_subscription,
)
from tests.support.results.mosquitto import Mosquitto

TOPIC = "loss/sensors/pump-3/data"
WINDOW = bytes(8192)
AWAY_SECONDS = 1.0
CONFIGURATIONS = {
    "default autosave (1800 s)": ("persistence true",),
    "autosave_interval 1": ("persistence true", "autosave_interval 1"),
}


class Taker:
    """The server's side: it acknowledges everything it takes."""

    def __init__(self, port: int) -> None:
        self._address = BrokerAddress("127.0.0.1", port)
        self.taken: set[bytes] = set()
        self._subscription: Subscription | None = None

    def _take(self, deliveries: list[Delivery]) -> None:
        self.taken |= {one.payload[:4] for one in deliveries}
        if self._subscription is not None:
            self._subscription.acknowledge(deliveries)

    @asynccontextmanager
    async def taking(self) -> AsyncIterator[None]:
        """Subscribe, with a session that lasts."""
        options = SubscriptionOptions("loss", [TOPIC], 3600, 1000, 2**28)
        async with open_subscription(self._address, options, self._take) as self._subscription:
            yield
        self._subscription = None

    async def settle(self) -> None:
        """Take until nothing has come for a second."""
        before = -1
        while before != len(self.taken):
            before = len(self.taken)
            await asyncio.sleep(1.0)


class Device:
    """Publishes numbered windows with QoS 1, at most 20 at once; counts acknowledgements."""

    def __init__(self, port: int) -> None:
        self.acknowledged: set[bytes] = set()
        self._numbers: dict[int, bytes] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_publish = self._on_publish
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_publish(self, _: object, __: object, mid: int, *___: object) -> None:
        if number := self._numbers.get(mid):
            self.acknowledged.add(number)

    def publish(self, numbers: Sequence[int], rate: float) -> None:
        """Publish at a rate, until all are acknowledged or the broker is gone."""
        for number in numbers:
            name = number.to_bytes(4, "little")
            info = self._client.publish(TOPIC, name + WINDOW[4:], qos=1)
            self._numbers[info.mid] = name
            time.sleep(1 / rate)

    def settle(self, numbers: int, seconds: float = 5) -> None:
        """Wait for the acknowledgements."""
        until = time.monotonic() + seconds
        while len(self.acknowledged) < numbers and time.monotonic() < until:
            time.sleep(0.02)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


async def measure(lines: Sequence[str], kind: str, messages: int, rate: float) -> dict[str, object]:
    """Run one case; return what was acknowledged and what was lost."""
    with tempfile.TemporaryDirectory() as name:
        broker = Mosquitto(Path(name))
        configuration = [
            "user root",
            *lines,
            f"persistence_location {name}/",
            f"listener {broker.port} 127.0.0.1",
            "allow_anonymous true",
            # The support waits for both ports.
            f"listener {broker.tls_port} 127.0.0.1",
        ]
        (Path(name) / "mosquitto.conf").write_text("\n".join(configuration) + "\n")
        broker.start()
        try:
            return await _case(broker, kind, messages, rate)
        finally:
            broker.stop()


async def _case(broker: Mosquitto, kind: str, messages: int, rate: float) -> dict[str, object]:
    taker = Taker(broker.port)
    async with taker.taking():
        await asyncio.sleep(AWAY_SECONDS)  # an autosave knows the session
        if kind == "killed_online":
            device = await asyncio.to_thread(_publish, broker, messages, rate)
            broker.kill()
            broker.start()
    if kind != "killed_online":
        device = await asyncio.to_thread(_publish, broker, messages, rate)
        if kind == "killed":
            broker.kill()
            broker.start()
    async with taker.taking():
        await taker.settle()
    lost = len(device.acknowledged - taker.taken)
    acknowledged = len(device.acknowledged)
    return {"acknowledged": acknowledged, "lost": lost, "share": lost / max(1, acknowledged)}


def _publish(broker: Mosquitto, messages: int, rate: float) -> Device:
    device = Device(broker.port)
    device.publish(range(messages), rate)
    device.settle(messages)
    device.close()
    return device


def main() -> None:
    """Run all cases; print and write the results."""
    parser = argparse.ArgumentParser(prog="broker_loss", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500, help="messages a second")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, object]]]] = {}
    for name, lines in CONFIGURATIONS.items():
        of_name = found.setdefault(name, {})
        for kind, messages in (
            ("subscriber_away", 900),
            ("overflow", 3000),
            ("killed", 900),
            ("killed_online", 900),
        ):
            for _ in range(arguments.rounds):
                one = asyncio.run(measure(lines, kind, messages, arguments.rate))
                of_name.setdefault(kind, []).append(one)
                print(f"{name}: {kind}: {json.dumps(one)}", flush=True)
    if arguments.write:
        facts = {"broker": "mosquitto 2.0.11", "rate": arguments.rate, "cases": found}
        print(f"written to {results.write('broker-loss', facts)}")


if __name__ == "__main__":
    main()
