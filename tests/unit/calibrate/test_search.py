"""The search for the knee and for settings, on computed servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calibrate.search import PRECISION, LoadPoint, TooSlow, compare, find_knee


def queueing(rate: float, alone: float, capacity: int = 10**9) -> Callable[[int], LoadPoint]:
    """A server of ``rate`` images a second that needs ``alone`` seconds for one (Little's law)."""

    def measure(in_flight: int) -> LoadPoint:
        latency = max(alone, in_flight / rate)
        return LoadPoint(in_flight / latency, latency, failed=float(in_flight > capacity))

    return measure


@given(
    rate=st.floats(1, 5000),
    alone=st.floats(0.001, 0.1),
    objective=st.floats(0.1, 5),
    start=st.integers(1, 64),
)
def test_knee_is_the_largest_load_meeting_the_objective(
    rate: float, alone: float, objective: float, start: int
) -> None:
    most = 100_000
    if 1 / rate > objective:
        with pytest.raises(TooSlow):
            find_knee(queueing(rate, alone), objective, most, start)
        return
    knee = find_knee(queueing(rate, alone), objective, most, start)
    assert knee.p95 <= objective
    true = int(rate * objective)
    assert knee.in_flight <= true + 1
    assert true <= (1 + PRECISION) * knee.in_flight + 1


def test_queue_capacity_bounds_the_knee() -> None:
    assert find_knee(queueing(100, 0.01), 1.0, most=20, start=2).in_flight == 20
    bounded = find_knee(queueing(100, 0.01, capacity=30), 1.0, most=1000, start=2)
    assert 27 <= bounded.in_flight <= 30


def test_single_image_missing_the_objective_raises_too_slow() -> None:
    with pytest.raises(TooSlow, match="p95 of 300 ms already; the objective is 200 ms"):
        find_knee(queueing(100, 0.3), 0.2, most=64, start=8)


def series(*values: float) -> Callable[[], float]:
    numbers = itertools.cycle(values)
    return lambda: next(numbers)


def test_clearly_faster_setting_is_taken() -> None:
    found = compare(series(100), series(110))
    assert found.is_better
    assert found.ratio == pytest.approx(1.1)


def test_noise_is_not_taken_as_an_improvement() -> None:
    found = compare(series(100), series(95, 140, 101))
    assert not found.is_better
    assert found.ratio == pytest.approx(1.01)


def test_gain_inside_the_noise_is_not_taken() -> None:
    found = compare(series(100), series(104, 96, 112))
    assert found.ratio == pytest.approx(1.04)
    assert not found.is_noisy
    assert not found.is_better


@pytest.mark.parametrize(
    ("known", "new"), [((100, 70, 100), (200, 140, 200)), ((100,), (100, 150, 130))]
)
def test_machine_with_unequal_measurements_is_too_noisy_to_decide(
    known: tuple[float, ...], new: tuple[float, ...]
) -> None:
    found = compare(series(*known), series(*new))
    assert found.is_noisy
    assert not found.is_better
