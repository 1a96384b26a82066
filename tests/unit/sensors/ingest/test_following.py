"""Changes of definitions, states, silence, and what other processes do."""

from __future__ import annotations

import pytest

from schemas.errors import NotReady
from schemas.sensors import SensorFault
from service.sensors.ingest.ports import Samples
from tests.support.sensors.site import NAME, Site, offer, samples_of, spec_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


def kinds(site: Site) -> list[str]:
    return [one.kind for one in site.store.events if one.kind != "state"]


async def test_a_change_ends_the_channel(site: Site) -> None:
    channel, heard = await site.open()
    site.store.add(NAME, spec_of(stride=2))
    site.intake.nudge()
    await heard.until(lambda: heard.endings == ["changed"])
    offer(channel, 0, 4)
    again, heard = await site.open()
    assert again.stride == 2
    offer(again, 0, 6)
    await heard.until(lambda: heard.safes[-1:] == [4])
    assert [key[2] for key in site.store.answers] == [0, 2]


async def test_a_pause_and_a_removal_end_the_channel(site: Site) -> None:
    _, heard = await site.open()
    site.store.pause(NAME)
    site.intake.nudge()
    await heard.until(lambda: heard.endings == ["changed"])
    site.store.pause(NAME, is_paused=False)
    site.intake.nudge()
    _, heard = await site.open()
    site.clock.now += 5
    site.store.remove(NAME)
    site.intake.nudge()
    await heard.until(lambda: heard.endings == ["removed"])
    await eventually(lambda: site.intake.tracker.report(NAME) is None)
    assert site.metrics.counts["end", NAME] == 1


async def test_a_change_since_the_last_look_counts_at_once(site: Site) -> None:
    await eventually(lambda: NAME in site.intake.sensors)
    site.store.add(NAME, spec_of(stride=2))
    channel, _ = await site.open()
    assert channel.stride == 2
    await channel.close()
    site.store.pause(NAME)
    with pytest.raises(NotReady):
        await site.open()
    assert site.store.epochs[NAME].owner is None


async def test_a_removed_sensor_ends_at_the_next_commit(site: Site) -> None:
    channel, heard = await site.open()
    site.store.remove(NAME)
    offer(channel, 0, 4)
    await heard.until(lambda: heard.endings == ["removed"])


async def test_the_state_needs_enough_windows(site: Site) -> None:
    site.store.add(NAME, spec_of(agree=2, of=3))
    site.models.label = lambda values: "high" if values[0, 0] >= 8 else "low"
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    await channel.close()
    assert site.store.events == []
    channel, heard = await site.open()  # the votes before are those of the kept answers
    offer(channel, 4, 8)
    await heard.until(lambda: heard.safes[-1:] == [8])
    assert [(one.previous, one.state) for one in site.store.events] == [(None, "low")]
    offer(channel, 8, 16)
    await heard.until(lambda: heard.safes[-1:] == [16])
    assert [(one.previous, one.state) for one in site.store.events][1:] == [("low", "high")]
    assert site.metrics.values["state", NAME] == "high"


async def test_silence_and_return_are_events(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 4)
    await heard.until(lambda: heard.safes[-1:] == [4])
    site.clock.now += 29
    site.intake.nudge()
    offer(channel, 4, 5)
    site.clock.now += 31
    site.intake.nudge()
    await eventually(lambda: kinds(site) == ["silent"])
    await eventually(lambda: site.metrics.values["silent", NAME] is True)
    offer(channel, 5, 6)
    await heard.until(lambda: len(kinds(site)) == 2)
    assert kinds(site) == ["silent", "back"]
    assert site.metrics.values["silent", NAME] is False


async def test_a_device_without_samples_is_not_back(site: Site) -> None:
    channel, _ = await site.open()
    offer(channel, 0, 4)
    await channel.close()
    site.clock.now += 31
    site.intake.nudge()
    await eventually(lambda: kinds(site) == ["silent"])
    channel, _ = await site.open()
    await channel.close()
    assert kinds(site) == ["silent"]


async def test_a_sensor_without_a_channel_becomes_silent(site: Site) -> None:
    channel, _ = await site.open()
    offer(channel, 0, 4)
    await channel.close()
    site.clock.now += 31
    other = site.start()  # after a restart
    other.nudge()
    await eventually(lambda: kinds(site) == ["silent"])


async def test_arrival_is_stored_between_windows(site: Site) -> None:
    channel, heard = await site.open()
    offer(channel, 0, 1)
    site.clock.now += 6
    offer(channel, 1, 2)
    await heard.until(lambda: bool(heard.safes))
    assert site.store.epochs[NAME].seen == site.clock.now
    assert heard.safes == [0]


async def test_subscribers_get_each_answer(site: Site) -> None:
    seen: list[tuple[str, int]] = []
    end = site.intake.subscribe(
        lambda name, answers: seen.extend((name, one.first_sequence) for one in answers)
    )
    channel, heard = await site.open()
    offer(channel, 0, 8)
    await heard.until(lambda: heard.safes[-1:] == [8])
    end()
    offer(channel, 8, 12)
    await heard.until(lambda: heard.safes[-1:] == [12])
    assert seen == [(NAME, 0), (NAME, 4)]


async def test_messages_are_windowed_by_themselves(site: Site) -> None:
    messages = [Samples(8, samples_of(8, 17)), Samples(0, samples_of(0, 4))]
    answers = await site.intake.classify_messages(
        NAME, messages, epoch=3, principal=None, door="mqtt"
    )
    assert [one.first_sequence for one in answers] == [8, 12, 0]
    assert site.metrics.counts["fault", NAME, SensorFault.GAP] == 1
    site.models.label = lambda _: "other"
    again = await site.start().classify_messages(
        NAME, messages[1:], epoch=3, principal=None, door="mqtt"
    )
    assert [one.label for one in again] == ["sum-12"]
    assert len(site.store.answers) == 3


async def test_messages_without_an_epoch_get_one(site: Site) -> None:
    for _ in range(2):
        await site.intake.classify_messages(
            NAME, [Samples(None, samples_of(0, 4))], epoch=None, principal=None, door="mqtt"
        )
    assert [first for _, _, first in site.store.answers] == [0, 4]


async def test_one_window_is_answered_and_not_kept(site: Site) -> None:
    answer = await site.intake.classify(NAME, samples_of(0, 4), principal=None)
    assert (answer.epoch, answer.label) == (0, "sum-12")
    assert not site.store.answers
