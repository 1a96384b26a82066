"""One device: what it is told, and what is stored."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from schemas.errors import (
    InferenceFailed,
    InvalidTensor,
    ModelNotFound,
    NotReady,
    Overloaded,
)
from schemas.sensors import SensorFault
from service.core.series.preprocessing import NotFinite
from service.sensors.ingest.ports import Samples
from service.sensors.records import EpochRefused
from tests.support.sensors.fake_intake import Heard
from tests.support.sensors.site import NAME, Site, offer, samples_of
from tests.support.waiting import eventually, turns

pytestmark = pytest.mark.anyio


async def test_answers_are_stored_before_the_device_learns(site: Site) -> None:
    channel, heard = await site.open()
    assert (channel.next_sequence, channel.length, channel.stride) == (0, 4, 4)
    assert offer(channel, 0, 10) == 10
    assert heard.safes == []
    await heard.until(lambda: heard.safes[-1:] == [8])
    assert [one.first_sequence for one in heard.results] == [0, 4]
    assert [key[2] for key in site.store.answers] == [0, 4]
    assert heard.results[0].label == "sum-12"
    assert (channel.next_sequence, channel.received) == (8, 10)
    assert site.metrics.counts["windows", NAME] == 2


async def test_samples_that_come_again_count_once(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 8)
    await heard.until(lambda: heard.safes[-1:] == [8])
    offer(channel, 0, 12)
    await heard.until(lambda: heard.safes[-1:] == [12])
    assert len(heard.results) == 3
    assert heard.faults == [SensorFault.DUPLICATE]
    assert site.metrics.counts["fault", NAME, SensorFault.DUPLICATE] == 8


async def test_a_window_that_is_stored_keeps_its_answer(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    await channel.close()
    site.store.epochs[NAME].safe = 0  # as a restored backup has it
    site.models.label = lambda _: "other"
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    assert [one.label for one in heard.results] == ["sum-12"]
    assert site.metrics.counts["windows", NAME] == 1


async def test_a_second_connection_of_the_device_takes_over(site: Site) -> None:
    first, heard = await site.open()
    offer(first, 0, 6)
    await heard.until(lambda: heard.safes[-1:] == [4])
    second, _ = await site.open()
    assert heard.endings == ["replaced"]
    assert second.next_sequence == 4
    offer(first, 6, 12)
    assert second.received == 4


async def test_another_device_is_refused_until_the_first_is_idle(site: Site) -> None:
    channel, heard = await site.open(5)
    with pytest.raises(EpochRefused) as refused:
        await site.open(6)
    assert refused.value.fault is SensorFault.IN_USE
    assert refused.value.retry_after == 60
    channel.touch()
    site.clock.now += 61
    await site.open(6)
    assert heard.endings == ["replaced"]


async def test_an_older_epoch_is_refused(site: Site) -> None:
    channel, _ = await site.open(5)
    await channel.close()
    with pytest.raises(EpochRefused) as refused:
        await site.open(4)
    assert refused.value.fault is SensorFault.STALE_EPOCH


async def test_the_server_numbers_a_device_that_does_not(site: Site) -> None:
    channel, heard = await site.open(None)
    assert channel.epoch == int(site.clock.now * 1000)
    channel.offer(Samples(None, samples_of(0, 3)))
    channel.offer(Samples(None, samples_of(3, 5)))
    await heard.until(lambda: heard.safes[-1:] == [4])
    await channel.close()
    again, _ = await site.open(None)
    assert again.epoch > channel.epoch


async def test_a_replica_takes_the_channel_over(site: Site) -> None:
    channel, heard = await site.open()
    other = site.start()
    await other.open(NAME, epoch=1, principal=None, door="tcp", listener=Heard())
    offer(channel, 0, 4)
    await heard.until(lambda: bool(heard.endings))
    assert heard.endings == ["replaced"]
    assert not site.store.answers
    assert site.intake.tracker.report(NAME) is None


@pytest.mark.parametrize(
    ("error", "fault"),
    [(NotFinite(), SensorFault.NOT_FINITE), (InvalidTensor(), SensorFault.MODEL)],
)
async def test_a_window_that_cannot_be_answered_is_skipped(
    site: Site, error: Exception, fault: SensorFault
) -> None:
    site.models.errors = [error]
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    offer(channel, 4, 8)
    await heard.until(lambda: heard.safes[-1:] == [8])
    assert heard.faults == [fault]
    assert [key[2] for key in site.store.answers] == [4]


async def test_a_model_that_fails_is_asked_three_times(site: Site) -> None:
    site.models.errors = [InferenceFailed(), ValueError("bug"), InferenceFailed()]
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    assert site.models.calls == 3
    assert not site.store.answers


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Overloaded(), SensorFault.OVERLOADED),
        (NotReady(), SensorFault.MODEL),
        (ModelNotFound(), SensorFault.MODEL),
    ],
)
async def test_windows_wait_for_the_model(site: Site, error: Exception, fault: SensorFault) -> None:
    site.models.errors = [error, error]
    channel, heard = await site.open()
    offer(channel, 0, 12)
    await heard.until(lambda: heard.safes[-1:] == [12])
    assert [one.first_sequence for one in heard.results] == [0, 4, 8]
    assert fault in heard.faults


async def test_nothing_is_confirmed_while_the_store_is_away(site: Site) -> None:
    channel, heard = await site.open()
    site.store.is_away = True
    offer(channel, 0, 8)
    await eventually(lambda: site.models.calls == 2)
    assert heard.safes == []
    assert heard.results == []
    site.store.is_away = False
    await heard.until(lambda: heard.safes[-1:] == [8])
    assert len(heard.results) == 2


async def test_a_gap_is_told_and_passed(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 2)
    offer(channel, 7, 12)
    await heard.until(lambda: heard.safes[-1:] == [12])
    assert heard.faults == [SensorFault.GAP]
    assert [key[2] for key in site.store.answers] == [8]
    report = site.intake.tracker.report(NAME)
    assert report is not None
    assert (report.counts.gaps, report.counts.missing, report.fault) == (1, 5, None)
    recent = site.intake.tracker.recent(NAME)
    assert recent is not None
    assert [(gap.first_sequence, gap.missing) for gap in recent.gaps] == [(2, 5)]
    np.testing.assert_array_equal(recent.windows[0].values, samples_of(8, 12))


async def test_a_gap_without_a_window_moves_on_too(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 100, 101)
    await heard.until(lambda: heard.safes[-1:] == [100])
    assert site.store.epochs[NAME].safe == 100


async def test_samples_of_another_shape_are_refused(site: Site) -> None:
    channel, _ = await site.open()
    with pytest.raises(InvalidTensor):
        channel.offer(Samples(0, np.zeros((4, 3), np.float32)))
    assert site.metrics.counts["fault", NAME, SensorFault.WRONG_CHANNELS] == 1
    with pytest.raises(InvalidTensor):
        channel.offer(Samples(2**63 - 2, samples_of(0, 4)))
    channel.report(SensorFault.BAD_DATA, "no frame")
    assert site.metrics.counts["fault", NAME, SensorFault.BAD_DATA] == 2


async def test_a_device_that_comes_back_waits_for_its_windows_alone(site: Site) -> None:
    site.models.gate = asyncio.Event()
    channel, _ = await site.open(5)
    offer(channel, 0, 10)
    closing = asyncio.create_task(channel.close())
    opening = asyncio.create_task(site.open(6))
    await turns()
    assert not opening.done()
    site.models.gate.set()
    again, _ = await opening
    await closing
    assert (again.epoch, again.next_sequence) == (6, 0)
    assert [key[1:] for key in site.store.answers] == [(5, 0), (5, 4)]


async def test_a_channel_that_has_ended_does_not_hold_its_epoch(site: Site) -> None:
    channel, heard = await site.open(5)
    channel.end("changed")  # what gives the epoch back is not committed yet
    assert site.store.epochs[NAME].owner == channel.owner
    again, _ = await site.open(6)
    offer(again, 0, 4)
    await eventually(lambda: again.next_sequence == 4)
    assert heard.endings == ["changed"]
    assert site.store.epochs[NAME].owner == again.owner
