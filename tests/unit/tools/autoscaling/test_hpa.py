"""The autoscaler's arithmetic compared with Kubernetes' documentation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.autoscaling.hpa import (
    Behaviour,
    Direction,
    of_average_value,
    of_utilisation,
    of_value,
)

DEFAULT_UP = Direction(0, 100, 4, 15)
ALL_DOWN = Direction(300, 100, 0, 15)


@pytest.mark.parametrize(
    ("value", "target", "current", "wanted"),
    [
        (200, 100, 3, 6),  # "if the current value is 200m and the desired one 100m: doubled"
        (50, 100, 4, 2),  # "if it is 50m: halved"
        (109, 100, 10, 10),  # within the tolerance of 0.1
        (91, 100, 10, 10),
        (112, 100, 10, 12),
    ],
)
def test_value_metric_scales_the_replicas_proportionally(
    value: float, target: float, current: int, wanted: int
) -> None:
    assert of_value(value, target, current, current) == wanted


def test_value_metric_scales_only_ready_replicas() -> None:
    assert of_value(3, 1, current=8, ready=2) == 6


@pytest.mark.parametrize(
    ("total", "current", "wanted"), [(512, 2, 7), (160, 2, 2), (175, 2, 2), (200, 2, 3), (0, 5, 0)]
)
def test_average_value_divides_the_sum_by_the_target(
    total: float, current: int, wanted: int
) -> None:
    assert of_average_value(total, 82, current) == wanted


def test_utilisation_matches_the_documented_example() -> None:
    # "50 replicas, a target of 75 %, and all use 90 %": 60.
    assert of_utilisation([0.9] * 50, 0.75, 50) == 60


def test_pods_without_samples_dampen_scaling() -> None:
    assert of_utilisation([1.0, 1.0], 0.5, 2) == 4
    assert of_utilisation([1.0, 1.0], 0.5, 4) == 4  # two more are idle already
    assert of_utilisation([0.2, 0.2], 0.5, 2) == 1
    assert of_utilisation([0.2, 0.2], 0.5, 4) == 4  # two more may turn out to be busy


def test_scale_up_takes_the_larger_of_four_pods_or_doubling() -> None:
    behaviour = Behaviour(DEFAULT_UP, ALL_DOWN, 1, 100)
    sizes = [1]
    for step in range(4):
        sizes.append(behaviour.follow(15.0 * step, sizes[-1], 100))
    assert sizes == [1, 5, 10, 20, 40]


def test_scale_up_within_a_period_uses_only_the_remainder() -> None:
    behaviour = Behaviour(DEFAULT_UP, ALL_DOWN, 1, 100)
    assert behaviour.follow(0, 10, 15) == 15
    assert behaviour.follow(5, 15, 100) == 20
    assert behaviour.follow(10, 20, 100) == 20
    assert behaviour.follow(15, 20, 100) == 30  # what came at second 5 still counts


def test_scale_down_follows_the_documented_percentage_and_pods() -> None:
    # Its example: from 80 to 10 replicas first 8 go, then 7.2 rounded up; below 40 it is 4 pods.
    behaviour = Behaviour(DEFAULT_UP, Direction(0, 10, 4, 60), 1, 100)
    sizes = [80]
    for minute in range(16):
        sizes.append(behaviour.follow(60.0 * minute, sizes[-1], 10))
    assert sizes[:4] == [80, 72, 64, 57]
    below = [size for size in sizes if size <= 40]
    steps = [before - after for before, after in pairwise(below) if after > 10]
    assert set(steps) == {4}
    assert sizes[-1] == 10


def test_scale_down_uses_the_highest_recommendation_of_the_window() -> None:
    behaviour = Behaviour(DEFAULT_UP, ALL_DOWN, 1, 100)
    assert behaviour.follow(0, 10, 9) == 9
    assert behaviour.follow(100, 9, 4) == 9
    assert behaviour.follow(299, 9, 2) == 9
    assert behaviour.follow(301, 9, 2) == 4
    assert behaviour.follow(401, 4, 2) == 2


@given(
    # Few values, so that several proposals in a row ask for less.
    proposals=st.lists(st.sampled_from([0, 2, 5, 18, 100]), min_size=1, max_size=60),
    start=st.integers(2, 20),
    percent=st.integers(1, 100),
    pods=st.integers(0, 10),
)
def test_replicas_stay_in_bounds_and_their_change_is_limited(
    proposals: list[int], start: int, percent: int, pods: int
) -> None:
    behaviour = Behaviour(DEFAULT_UP, Direction(30, percent, pods, 60), 2, 20)
    sizes = [start]
    for number, proposal in enumerate(proposals, 1):
        size = sizes[-1]
        new = behaviour.follow(15.0 * number, size, proposal)
        assert 2 <= new <= 20
        assert new <= max(2 * size, size + 4)
        if new < size:
            before = sizes[-4:][0]  # at the start of the last 60 s
            assert new >= min(before - pods, int(before * (1 - percent / 100)))
            assert new >= max(proposals[max(0, number - 3) : number])  # those of 30 s
        sizes.append(new)
