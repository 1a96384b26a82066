"""A process that takes messages and acknowledges the first ones only, to be killed.

``python -m tests.support.sensors.mqtt.subscriber PORT FILTER ACKNOWLEDGED``; it prints
``<payload> <0 or 1: sent again>`` for each message, and ``done`` when they are acknowledged.
"""

from __future__ import annotations

import asyncio
import sys

from service.mqtt.address import BrokerAddress
from service.sensors.mqtt.subscription import (
    Delivery,
    Subscription,
    SubscriptionOptions,
    open_subscription,
)


async def subscribe(port: int, topic: str, acknowledged: int) -> None:
    """Take messages until the process is killed."""
    options = SubscriptionOptions("killed", [topic], 300, 100, 2**20)
    taken: list[Delivery] = []
    opened: list[Subscription] = []

    def take(deliveries: list[Delivery]) -> None:
        for one in deliveries:
            print(one.payload.decode(), int(one.is_again), flush=True)  # noqa: T201 - for the test
            taken.append(one)
            if opened and len(taken) <= acknowledged:
                opened[0].acknowledge([one])
                if len(taken) == acknowledged:
                    # The thread sends what it was told before this.
                    opened[0].do(lambda: print("done", flush=True))  # noqa: T201

    address = BrokerAddress("127.0.0.1", port)
    async with open_subscription(address, options, take) as subscription:
        opened.append(subscription)
        print("ready", flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(subscribe(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
