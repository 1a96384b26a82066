"""Times of samples when a device's clock is set, and the measured rate."""

from __future__ import annotations

import pytest

from service.sensors.windows.times import RateMeter, SampleTimes


def test_times_follow_the_rate() -> None:
    times = SampleTimes(10.0)
    assert times.of(5) is None
    times.note(10, 100.0)
    assert times.of(15) == pytest.approx(100.5)


def test_a_time_that_goes_back_once_is_not_used() -> None:
    times = SampleTimes(10.0)
    times.note(0, 100.0)
    times.note(10, 50.0)
    assert times.of(10) == pytest.approx(101.0)
    times.note(20, 102.0)
    assert (times.of(20), times.jumps) == (102.0, 0)


def test_a_clock_that_was_set_back_is_followed() -> None:
    times = SampleTimes(10.0)
    times.note(0, 100.0)
    times.note(10, 50.0)
    times.note(20, 51.0)
    assert (times.of(20), times.jumps) == (51.0, 1)


def test_a_clock_that_was_set_forward_is_followed() -> None:
    times = SampleTimes(10.0)
    times.note(0, 100.0)
    times.note(10, 900.0)
    assert times.of(20) == pytest.approx(901.0)


@pytest.mark.parametrize("every", [0.01, 0.2, 1.0])
def test_the_rate_is_that_of_arrival(every: float) -> None:
    meter, now = RateMeter(), 1000.0
    assert meter.rate(now) is None
    while now < 1020:
        meter.add(round(480 * every), now)
        now += every
    rate = meter.rate(now)
    assert rate is not None
    assert rate == pytest.approx(480, rel=0.25)
    assert meter.rate(now + 60) == 0
