"""Partial sums: those of parts, merged in any order, are those of the whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.preprocess.numeric import Sums
from service.preprocess.numeric.rows import InvalidRows, Rows
from service.preprocess.scalers.fitting import deviations, medians
from service.preprocess.scalers.sums import MAX_MAGNITUDE, RowSums, merged, sums_of
from service.preprocess.scalers.wire import from_wire, to_wire

MOST = 100_000
WORKERS = 8
TOLERANCE = 1e-12


def sums(values_NC: NDArray[np.float64], most: int = MOST) -> RowSums:
    return sums_of(Rows(np.ascontiguousarray(values_NC)), most)


def assert_same(found: RowSums, expected: RowSums) -> None:
    """Equal within 1e-12 of each column's own scale; counts, extremes and distinct exactly."""
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.nan_counts, expected.nan_counts)
    np.testing.assert_array_equal(found.minima, expected.minima)
    np.testing.assert_array_equal(found.maxima, expected.maxima)
    np.testing.assert_allclose(found.mean.high, expected.mean.high, rtol=TOLERANCE, atol=1e-300)
    np.testing.assert_allclose(
        found.squares.high, expected.squares.high, rtol=TOLERANCE, atol=1e-300
    )
    for one, other in zip(found.distinct, expected.distinct, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.counts, other.counts)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(0.0, 1.0), (1e9, 1.0), (-1e12, 1e-3), (1e-9, 1e-12), (5.0, 1e6)]),
    st.permutations(range(WORKERS)),
    st.integers(1, WORKERS - 1),
)
def test_eight_workers_in_any_order_equal_one_pass(
    seed: int, scale: tuple[float, float], order: list[int], split: int
) -> None:
    mean, deviation = scale
    random = np.random.default_rng(seed)
    values_NC = random.normal(mean, deviation, (int(random.integers(8, 400)), 3))
    values_NC[random.random(values_NC.shape) < 0.1] = np.nan
    cuts = np.sort(random.integers(0, len(values_NC), WORKERS - 1))
    parts = np.split(values_NC, cuts)
    found = [sums(part) for place in order if len(part := parts[place])]
    # As a chain, and as two trees: merging is associative as far as 1e-12 goes.
    left, right = found[:split], found[split:]
    tree = [merged(half, MOST) for half in (left, right) if half]
    whole = sums(values_NC)
    assert_same(merged(found, MOST), whole)
    assert_same(merged(tree, MOST), whole)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40), st.integers(0, 40))
def test_sums_equal_exact_fractions(numbers: list[float], cut: int) -> None:
    column = np.array(numbers)[:, np.newaxis]
    parts = [sums(part) for part in np.split(column, [min(cut, len(numbers))]) if len(part)]
    found = merged(parts, MOST)
    exact = [Fraction(number) for number in numbers]
    mean = sum(exact, Fraction(0)) / len(exact)
    squares = sum(((number - mean) ** 2 for number in exact), Fraction(0))
    spread = max(abs(number) for number in exact)
    assert abs(Fraction(float(found.mean.high[0])) - mean) <= Fraction(spread) / 2**50
    assert math.isclose(float(found.squares.high[0]), float(squares), rel_tol=1e-12, abs_tol=1e-300)


def test_a_large_mean_costs_no_digits() -> None:
    column = 1e9 + np.array([[-1.0], [1.0]] * 50_000)
    assert deviations(sums(column)).tolist() == [1.0]


@given(st.integers(0, 2**32 - 1))
def test_json_loses_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    values_NC = random.normal(1e9, 1, (50, 3))
    values_NC[:, 1] = np.nan
    values_NC[random.random(50) < 0.3, 2] = np.nan
    made = sums_of(Rows(values_NC, ("a", "b", "c")), MOST)
    found = from_wire(Sums.model_validate_json(to_wire(made).model_dump_json()))
    assert found.columns == made.columns
    for one, other in ((found.mean, made.mean), (found.squares, made.squares)):
        np.testing.assert_array_equal(one.high, other.high)
        np.testing.assert_array_equal(one.low, other.low)
    assert_same(found, made)


def test_a_part_without_numbers_changes_nothing() -> None:
    empty, some = sums(np.full((3, 1), np.nan)), sums(np.array([[1.0], [3.0]]))
    for parts in ([empty, some], [some, empty]):
        found = merged(parts, MOST)
        assert (found.mean.high[0], found.squares.high[0]) == (2, 2)
        assert (found.counts[0], found.nan_counts[0], found.rows) == (2, 3, 5)


def test_distinct_numbers_are_bounded() -> None:
    few, many = sums(np.arange(10.0)[:, None], 10), sums(np.arange(11.0)[:, None], 10)
    assert few.distinct[0] is not None
    assert many.distinct[0] is None
    assert merged([few, few], 10).distinct[0] is not None
    assert merged([few, sums(np.array([[0.5]]), 10)], 10).distinct[0] is None
    assert merged([many, few], 10).distinct[0] is None
    assert sums(np.ones((1, 1)), 0).distinct == (None,)


def test_zeros_of_both_signs_are_one_number() -> None:
    found = sums(np.array([[0.0], [-0.0]])).distinct[0]
    assert found is not None
    assert (found.values.tolist(), found.counts.tolist()) == ([0.0], [2])


def test_numbers_too_large_to_be_squared_are_refused() -> None:
    values_NC = np.array([[1.0, 2.0], [3.0, -1e308]])
    with pytest.raises(InvalidRows, match="Row 2, column 'b': -1e"):
        sums_of(Rows(values_NC, ("a", "b")), 0)
    assert np.isfinite(sums(np.array([[MAX_MAGNITUDE], [-MAX_MAGNITUDE]])).squares.high).all()


def test_parts_of_other_columns_are_refused() -> None:
    two, three = sums(np.ones((1, 2))), sums(np.ones((1, 3)))
    with pytest.raises(InvalidRows, match="One part has 2 columns, another 3"):
        merged([two, three], MOST)
    named = [sums_of(Rows(np.ones((1, 2)), ("a", name)), 0) for name in ("b", "c")]
    with pytest.raises(InvalidRows, match="Column 2 is 'b' in one part, 'c' in another"):
        merged(named, 0)
    assert merged([two, named[0]], 0).columns == ("a", "b")


@pytest.mark.parametrize(
    "change",
    [
        {"squares": [-1, 0]},
        {"count": -1},
        {"count": 2**60},
        {"minimum": None},
        {"minimum": 3, "maximum": 3},
        {"mean": [float("inf"), 0]},
        {"distinct": [[1, 1], [1, 1]]},
        {"distinct": [[1, 1]]},
        {"distinct": [[1, 1], [float("nan"), 1]]},
        {"more": 1},
    ],
)
def test_sums_that_contradict_themselves_are_refused(change: dict[str, object]) -> None:
    column: dict[str, object] = {
        "name": "a",
        "count": 2,
        "nan_count": 0,
        "mean": [2, 0],
        "squares": [2, 0],
        "minimum": 1,
        "maximum": 3,
        "distinct": [[1, 1], [3, 1]],
    }
    assert from_wire(Sums.model_validate({"columns": [column]})).rows == 2
    with pytest.raises(ValueError, match="validation error"):
        Sums.model_validate({"columns": [{**column, **change}]})


def test_medians_of_merged_parts_are_those_of_the_whole() -> None:
    random = np.random.default_rng(3)
    values_NC = np.round(random.normal(0, 5, (101, 2)))
    parts = [sums(part) for part in np.array_split(values_NC, 7)]
    np.testing.assert_array_equal(medians(merged(parts, MOST)), np.median(values_NC, axis=0))
