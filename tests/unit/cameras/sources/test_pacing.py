"""When frames are wanted, when key frames are enough, how a file is played, what is too slow."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cameras import CameraFailure
from service.cameras.sources.due import Due
from service.cameras.sources.http.pace import MIN_RATE, Pace
from service.cameras.sources.newest import NewestFrame, received
from service.cameras.sources.source import SourceFailed
from service.cameras.sources.video.key_frames import KeyFrames
from service.cameras.sources.video.playback import MAX_STEP, Playback
from tests.support.waiting import eventually

steps = st.floats(0.001, 3, allow_nan=False)


def taken(every: float, arrivals: list[float]) -> list[float]:
    due, times = Due(every), []
    for now in arrivals:
        if due.wait(now) <= 0:
            due.take(now)
            times.append(now)
    return times


@given(every=st.floats(0.1, 10), gaps=st.lists(steps, max_size=60))
def test_no_more_frames_than_wanted_in_the_long_run(every: float, gaps: list[float]) -> None:
    arrivals = [sum(gaps[: count + 1]) for count in range(len(gaps))]
    times = taken(every, arrivals)
    if times:
        assert len(times) <= (times[-1] - times[0]) / every + 1.25 + 1e-6
    for one, next_one in pairwise(times):
        assert next_one - one >= every * 0.5


def test_frames_at_just_the_interval_are_all_taken() -> None:
    jitter = (0.0, 0.1, -0.1, 0.05, -0.2)
    arrivals = [100 + count + jitter[count % 5] for count in range(50)]
    assert taken(1.0, arrivals) == arrivals


def test_first_frame_is_taken_at_once_and_a_pause_is_not_made_up_for() -> None:
    assert taken(10, [5.0, 6.0, 1000.0, 1001.0, 1002.0, 1003.0]) == [5.0, 1000.0]


def seen(every: float, arrivals: list[float]) -> list[bool]:
    keys = KeyFrames(every)
    return [keys.see(now) for now in arrivals]


def test_key_frames_are_enough_up_to_twice_the_interval() -> None:
    assert seen(1, [0, 2, 4, 6]) == [False, True, True, True]
    assert seen(1, [0, 2.1, 4.2]) == [False, False, False]
    assert seen(60, [0, 100]) == [False, True]


def test_below_one_second_key_frames_must_be_as_frequent_as_wanted() -> None:
    assert seen(0.5, [0, 1, 2]) == [False, False, False]
    assert seen(0.5, [0, 0.5, 1]) == [False, True, True]


def test_rare_key_frames_are_noticed_and_forgotten() -> None:
    assert seen(1, [0, 1, 11, 12, 13, 14]) == [False, True, False, False, False, True]


def test_file_is_played_by_its_timestamps() -> None:
    playback = Playback(100.0, 25)
    assert playback.wait(7.0, 100.0) == pytest.approx(0.04)
    assert playback.wait(7.5, 100.04) == pytest.approx(0.5)
    # Decoding took a while.
    assert playback.wait(8.0, 100.9) == pytest.approx(0.14)


@pytest.mark.parametrize("timestamp", [None, 3.0, 7.0, 7.0 + MAX_STEP + 1])
def test_file_whose_clock_is_wrong_is_played_by_its_rate(timestamp: float | None) -> None:
    playback = Playback(100.0, 10)
    playback.wait(7.0, 100.0)
    assert playback.wait(timestamp, 100.1) == pytest.approx(0.1)


def test_loop_takes_time_even_for_one_frame() -> None:
    playback, now = Playback(0.0, 0), 0.0
    for _ in range(25):
        playback.rewind()
        now += playback.wait(0.0, now)
    assert now == pytest.approx(1.0)


def test_player_that_fell_behind_does_not_rush() -> None:
    playback = Playback(0.0, 10)
    playback.wait(0.0, 0.0)
    waits = [playback.wait(0.1 * count, 1000.0) for count in range(1, 100)]
    assert sum(wait == 0 for wait in waits) == pytest.approx(10 * MAX_STEP, abs=1)


def test_one_byte_a_second_is_too_slow() -> None:
    pace = Pace(5.0, 0.0)
    for second in range(1, 6):
        pace.receive(1, float(second))
    with pytest.raises(SourceFailed) as failed:
        pace.receive(1, 6.0)
    assert failed.value.reason is CameraFailure.TIMEOUT


def test_steady_stream_is_too_slow_only_at_the_deadline() -> None:
    pace = Pace(5.0, 0.0)
    for second in range(1, 21):
        pace.receive(2 * MIN_RATE, float(second))
    with pytest.raises(SourceFailed):
        pace.receive(2 * MIN_RATE, 20.5)


def test_complete_frame_begins_anew() -> None:
    pace = Pace(5.0, 0.0)
    for second in range(4, 100, 4):
        pace.receive(10, float(second))
        pace.complete(float(second))


@pytest.mark.anyio
async def test_newest_frame_wins() -> None:
    newest = NewestFrame()
    for number in range(5):
        newest.put(b"%d" % number)
    assert (await newest.get(Due(1))).image == b"4"


@pytest.mark.anyio
async def test_frame_before_its_time_is_replaced_until_then() -> None:
    newest, due = NewestFrame(), Due(0.2)
    newest.put(b"first")
    first = await newest.get(due)
    newest.put(b"early")
    waiting = asyncio.ensure_future(newest.get(due))
    await asyncio.sleep(0)
    newest.put(b"newer")
    second = await waiting
    assert (first.image, second.image) == (b"first", b"newer")


@pytest.mark.anyio
async def test_failure_comes_at_once_behind_the_last_frame() -> None:
    newest, due = NewestFrame(), Due(3600)
    newest.put(b"first")
    await newest.get(due)
    waiting = asyncio.ensure_future(newest.get(due))
    await asyncio.sleep(0)
    newest.put(b"last")
    newest.fail(SourceFailed(CameraFailure.ENDED, "over"))
    assert (await waiting).image == b"last"
    with pytest.raises(SourceFailed, match="over"):
        await newest.get(due)


@pytest.mark.anyio
async def test_receiver_is_cancelled_when_its_frames_are_no_longer_wanted() -> None:
    newest = NewestFrame()
    ended: list[bool] = []

    async def receive() -> None:
        try:
            newest.put(b"frame")
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with received(newest, receive(), 1) as frames:
        assert (await anext(aiter(frames))).image == b"frame"
        assert not ended
    await eventually(lambda: bool(ended))
