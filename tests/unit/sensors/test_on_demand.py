"""Sensors are opened once, at their first use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from schemas.errors import NotReady
from service.sensors.on_demand import SensorsOnDemand
from tests.support.waiting import turns

if TYPE_CHECKING:
    from service.sensors.opening import Sensors

pytestmark = pytest.mark.anyio


class Opener:
    """Opens when it may, and notes what it did."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.may_open = asyncio.Event()
        self.is_away = False

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Sensors]:
        self.did.append("open")
        await self.may_open.wait()
        if self.is_away:
            raise NotReady
        yield cast("Sensors", self)
        self.did.append("close")


async def test_unused_sensors_are_not_opened() -> None:
    opener = Opener()
    await SensorsOnDemand(opener).close()
    assert opener.did == []


async def test_sensors_are_opened_once_and_without_the_first_request() -> None:
    opener = Opener()
    sensors = SensorsOnDemand(opener)
    first, second = (asyncio.create_task(sensors.get()) for _ in range(2))
    await turns()
    first.cancel()  # its client has gone
    opener.may_open.set()
    assert await second is cast("object", opener)
    assert await sensors.get() is await second
    await sensors.close()
    assert opener.did == ["open", "close"]


async def test_opening_is_tried_again_after_a_failure() -> None:
    opener = Opener()
    opener.may_open.set()
    opener.is_away = True
    sensors = SensorsOnDemand(opener)
    with pytest.raises(NotReady):
        await sensors.get()
    opener.is_away = False
    await sensors.get()
    await sensors.close()
    assert opener.did == ["open", "open", "close"]
