"""Intervals of the accuracy: honest about groups, about heads that vary, and about few photos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.teach.verdict.groups import worth_of
from service.teach.verdict.intervals import accuracy_interval, wilson
from service.teach.verdict.student import t_quantile


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (39, 2.02269)],
)
def test_quantiles_of_student(degrees: int, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, rel=1e-5)
    assert t_quantile(0.025, degrees) == pytest.approx(-quantile, rel=1e-5)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3), (1.0, 3), (0.9, 0)])
def test_quantiles_that_do_not_exist(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="probability"):
        t_quantile(probability, degrees)


def test_the_middle_of_student_is_zero() -> None:
    assert t_quantile(0.5, 4) == 0


def test_wilson_is_the_textbooks() -> None:
    found = wilson(0.9, 50, 1.959964)
    assert (found.low, found.high) == pytest.approx((0.7864, 0.9565), abs=1e-4)


def test_photos_without_groups_are_independent() -> None:
    worth = worth_of(np.ones(30, np.bool_), np.arange(30))
    assert (worth.effective, worth.groups) == (30, 30)


def test_a_burst_is_worth_one_photo_until_errors_show_otherwise() -> None:
    groups = np.repeat(np.arange(6), 10)
    alike = np.repeat([True, True, True, True, True, False], 10)
    assert worth_of(alike, groups).effective == pytest.approx(6)
    assert worth_of(np.ones(60, np.bool_), groups).effective == pytest.approx(6)


def test_groups_whose_errors_are_spread_are_worth_more() -> None:
    groups = np.repeat(np.arange(30), 4)
    right = np.random.default_rng(1).random(120) < 0.7
    assert 50 < worth_of(right, groups).effective < 120


def test_one_group_has_no_interval() -> None:
    assert accuracy_interval(np.ones(50, np.bool_), np.zeros(50, np.int_)) is None
    assert accuracy_interval(np.ones(1, np.bool_), np.zeros(1, np.int_)) is None
    assert accuracy_interval(np.ones(0, np.bool_), np.zeros(0, np.int_)) is None


def test_two_groups_say_nearly_nothing() -> None:
    found = accuracy_interval(np.ones(100, np.bool_), np.repeat([0, 1], 50))
    assert found is not None
    assert found.low < 0.05


def test_frames_of_bursts_do_not_narrow_the_interval() -> None:
    right = np.arange(20) % 5 != 0
    few = accuracy_interval(right, np.arange(20))
    many = accuracy_interval(np.repeat(right, 50), np.repeat(np.arange(20), 50))
    assert few is not None
    assert many is not None
    assert many.low == pytest.approx(few.low, abs=1e-6)


def test_few_photos_of_a_class_raise_the_upper_end_alone() -> None:
    right, groups = np.arange(40) % 2 == 0, np.arange(40)
    plain, lacking = accuracy_interval(right, groups), accuracy_interval(right, groups, 0.2)
    assert plain is not None
    assert lacking is not None
    assert lacking.low == plain.low
    assert lacking.high > plain.high


@given(st.lists(st.booleans(), min_size=2, max_size=60), st.integers(2, 10), st.floats(0, 1))
def test_the_accuracy_is_in_its_interval(right: list[bool], groups: int, lacking: float) -> None:
    groups_N = np.arange(len(right)) % groups
    found = accuracy_interval(np.array(right), groups_N, lacking)
    assert found is not None
    assert 0 <= found.low <= np.mean(right) + 1e-9
    assert np.mean(right) - 1e-9 <= found.high <= 1


def test_draws_from_a_known_accuracy_are_covered() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        found = accuracy_interval(rng.random(40) < 0.85, np.arange(40))
        assert found is not None
        covered += found.low <= 0.85 <= found.high
    assert covered >= 190


def test_bursts_from_a_known_accuracy_are_covered() -> None:
    """All photos of a burst are right or wrong together; a burst is right with 80 %."""
    rng = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        groups = np.repeat(np.arange(12), 8)
        found = accuracy_interval((rng.random(12) < 0.8)[groups], groups)
        assert found is not None
        covered += found.low <= 0.8 <= found.high
    assert covered >= 190
