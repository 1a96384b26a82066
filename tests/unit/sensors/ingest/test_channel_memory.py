"""Limits of the memory of channels, and how they close."""

from __future__ import annotations

import asyncio

import pytest

from auth.principal import Principal
from schemas.errors import (
    ModelForbidden,
    NotFound,
    NotReady,
    Overloaded,
)
from service.sensors.ingest.load import WINDOW_BYTES
from service.sensors.ingest.sharing import Limits
from tests.support.sensors.fake_intake import Heard
from tests.support.sensors.site import NAME, Site, offer, spec_of

pytestmark = pytest.mark.anyio


async def test_memory_is_bounded(site: Site) -> None:
    site.limits = Limits(channel_bytes=0)  # so four windows beyond the open one
    site.models.gate = asyncio.Event()
    channel, heard = await site.open()
    assert channel.credit == 5 * 4 * 8
    paused = []
    for end in (16, 20):
        offer(channel, channel.received, end)
        paused.append(heard.is_paused)
    assert paused == [False, True]
    with pytest.raises(Overloaded):
        offer(channel, 20, 48)
    assert channel.received == 20
    site.models.gate.set()
    await heard.until(lambda: not heard.is_paused)
    await heard.until(lambda: heard.safes[-1:] == [20])


async def test_windows_count_beside_their_samples(site: Site) -> None:
    """A window of one sample holds more than that sample."""
    site.store.add(NAME, spec_of(stride=1))
    site.limits = Limits(channel_bytes=100_000)
    channel, _ = await site.open()
    assert channel.credit < 2000
    with pytest.raises(Overloaded):
        offer(channel, 0, 100_000)


async def test_all_channels_share_the_memory(site: Site) -> None:
    least = 32 + 2 * (32 + WINDOW_BYTES)
    site.limits = Limits(buffer_bytes=4 * least)
    site.models.gate = asyncio.Event()
    pump, of_pump = await site.open()
    for name in ("fan", "belt", "mill", "saw"):
        site.store.add(name, spec_of())
    fan, of_fan = await site.open(name="fan")
    offer(pump, 0, 28)
    while not of_pump.is_paused:
        offer(pump, pump.received, pump.received + 4)
    offer(fan, 0, 8)
    assert of_fan.is_paused
    with pytest.raises(Overloaded):
        offer(fan, 8, 64)
    for name in ("belt", "mill"):
        await site.open(name=name)
    with pytest.raises(Overloaded):
        await site.open(name="saw")
    site.models.gate.set()
    await of_fan.until(lambda: not of_fan.is_paused)
    await of_pump.until(lambda: not of_pump.is_paused)


async def test_close_commits_what_is_complete(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 10)
    await channel.close()
    assert [key[2] for key in site.store.answers] == [0, 4]
    assert site.store.epochs[NAME].owner is None
    assert heard.endings == []
    await channel.close()
    assert offer(channel, 10, 12) == 10
    assert (await site.open(9))[0].next_sequence == 0


async def test_a_device_is_told_of_the_end(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 6)
    await site.intake.close()
    assert heard.endings == ["drained"]
    assert heard.safes[-1] == 4
    with pytest.raises(NotReady):
        await site.open()


@pytest.mark.parametrize(
    ("epoch", "error"), [("gone", NotFound), ("paused", NotReady), ("barred", ModelForbidden)]
)
async def test_sensors_that_cannot_be_opened(
    site: Site, epoch: str, error: type[Exception]
) -> None:
    principal = Principal("x", frozenset(), "t", 0.0, models=frozenset({"others"}))
    if epoch == "paused":
        site.store.pause(NAME)
    with pytest.raises(error):
        await site.intake.open(
            "nothing" if epoch == "gone" else NAME,
            epoch=1,
            principal=principal if epoch == "barred" else None,
            door="tcp",
            listener=Heard(),
        )


async def test_everything_within_the_credit_is_taken(site: Site) -> None:
    """The rule of ``docs/tcp.md``: from ``safe`` on, or from the end of a gap."""
    site.models.gate = asyncio.Event()  # nothing becomes safe
    channel, heard = await site.open()
    row = 2 * 4
    samples = channel.credit // row
    assert samples >= channel.length + 2 * channel.stride
    for first in range(0, samples - samples % 1000, 1000):
        offer(channel, first, first + 1000)
    assert offer(channel, channel.received, samples) == samples
    assert channel.next_sequence == 0
    site.models.gate.set()
    await heard.until(lambda: channel.next_sequence > samples - channel.length)
    site.models.gate.clear()
    start, room = 10 * samples, channel.credit // row
    assert offer(channel, start, start + room) == start + room
    offer(channel, channel.received, channel.received + room // 2)
    with pytest.raises(Overloaded):  # far beyond
        offer(channel, channel.received, channel.received + 2 * room)
    site.models.gate.set()
