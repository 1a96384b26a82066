"""The subscription of sensors at a real broker: TLS with a password, and a shared one."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from service.mqtt.address import BrokerAddress
from service.mqtt.link import BrokerAway
from service.sensors.mqtt.subscription import (
    Delivery,
    Subscription,
    SubscriptionOptions,
    open_subscription,
)
from tests.support.results.mosquitto import PASSWORD, USERNAME, Mosquitto, listening, mosquitto
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio
SHARED = "$share/potoo/{}/+/data"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


def address(broker: Mosquitto, password: str = PASSWORD) -> BrokerAddress:
    """The port with TLS."""
    tls = ssl.create_default_context(cafile=broker.ca_file)
    return BrokerAddress("localhost", broker.tls_port, USERNAME, password, tls)


class Member:
    """A subscriber; it acknowledges what it takes unless it is ``stuck``.

    Attributes:
        taken: payloads, oldest first.
    """

    def __init__(self, *, is_stuck: bool = False) -> None:
        self.taken: list[str] = []
        self._is_stuck = is_stuck
        self._subscription: Subscription | None = None
        self._early: list[Delivery] = []

    async def join(self, stack: AsyncExitStack, at: BrokerAddress, topic: str, name: str) -> None:
        """Subscribe until the stack ends."""
        options = SubscriptionOptions(f"{name}-{topic[:5]}", [topic], 60, 100, 2**20)
        self._subscription = await stack.enter_async_context(
            open_subscription(at, options, self._take)
        )
        self._acknowledge(self._early)

    def _take(self, deliveries: list[Delivery]) -> None:
        self.taken += [one.payload.decode() for one in deliveries]
        self._acknowledge(deliveries)

    def _acknowledge(self, deliveries: list[Delivery]) -> None:
        if self._subscription is None:
            self._early += deliveries
        elif not self._is_stuck:
            self._subscription.acknowledge(deliveries)


async def test_samples_arrive_over_tls_with_a_password(broker: Mosquitto) -> None:
    member, sent = Member(), ["window", "w" * 300_000, ""]  # many records of TLS, and one
    async with AsyncExitStack() as stack:
        await member.join(stack, address(broker), "tls/+/data", "tls")
        with listening(broker.port, "none") as device:
            for text in sent:
                await asyncio.to_thread(device.publish, "tls/pump/data", text)
        await eventually(lambda: member.taken == sent)


async def test_a_wrong_password_is_reported(broker: Mosquitto) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(BrokerAway, match=r"(?i)not authori"):
            await Member().join(stack, address(broker, "wrong"), "no/+/data", "wrong")


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
async def test_an_unknown_authority_is_reported(broker: Mosquitto) -> None:
    distrustful = ssl.create_default_context()
    at = BrokerAddress("localhost", broker.tls_port, USERNAME, PASSWORD, distrustful)
    async with AsyncExitStack() as stack:
        with pytest.raises(BrokerAway, match=r"(?i)certificate"):
            await Member().join(stack, at, "no/+/data", "distrustful")


async def test_members_of_a_group_share_the_messages(broker: Mosquitto) -> None:
    """Each message goes to one; what it has not acknowledged, to the next one with its id."""
    sent = [str(number) for number in range(60)]
    first, second, stuck = Member(), Member(), Member(is_stuck=True)
    async with AsyncExitStack() as stack, AsyncExitStack() as ending:
        topic = SHARED.format("shared")
        await first.join(stack, address(broker), topic, "first")
        await second.join(stack, address(broker), topic, "second")
        await stuck.join(ending, address(broker), topic, "stuck")
        with listening(broker.port, "none") as device:
            for text in sent:
                await asyncio.to_thread(device.publish, "shared/pump/data", text)
        await eventually(lambda: set(first.taken + second.taken + stuck.taken) == set(sent))
        assert min(len(first.taken), len(second.taken), len(stuck.taken)) > 0
        assert not set(first.taken) & set(second.taken)
        await ending.aclose()
        heir = Member()
        await heir.join(stack, address(broker), topic, "stuck")
        await eventually(lambda: heir.taken == stuck.taken)
        assert not set(heir.taken) & set(first.taken + second.taken)
