"""Population stability index and Kolmogorov-Smirnov of counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.drift import DriftReference, DriftVerdict, Quantity
from service.core.drift.comparison import (
    compare,
    index_by_chance,
    kolmogorov_smirnov,
    population_stability_index,
)

COUNTS = st.lists(st.integers(0, 1000), min_size=10, max_size=10)


def reference(counts: list[int]) -> DriftReference:
    return DriftReference(
        source="training", answers=sum(counts), counts={Quantity.SCORE: tuple(counts)}
    )


def test_index_is_that_of_the_formula() -> None:
    p, q = (30.5 / 101, 70.5 / 101), (50.5 / 101, 50.5 / 101)
    expected = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert population_stability_index([30, 70], [50, 50]) == pytest.approx(expected)


@given(COUNTS, COUNTS)
def test_index_is_symmetric_and_zero_for_equal_shares(now: list[int], other: list[int]) -> None:
    assert population_stability_index(now, now) == 0
    found = population_stability_index(now, other)
    assert found >= 0
    assert found == pytest.approx(population_stability_index(other, now))


@given(COUNTS, COUNTS)
def test_largest_difference_of_shares_is_at_an_edge(now: list[int], other: list[int]) -> None:
    found = kolmogorov_smirnov(now, other)
    if sum(now) and sum(other):
        shares = [np.cumsum(part) / sum(part) for part in (now, other)]
        assert found == pytest.approx(np.abs(shares[0] - shares[1]).max(), abs=1e-9)
    else:
        assert found == 0


def test_chance_exceeds_its_index_once_in_a_thousand() -> None:
    random = np.random.default_rng(1)
    shares = np.full(10, 0.1)
    indices = [
        population_stability_index(
            random.multinomial(300, shares).tolist(), random.multinomial(100, shares).tolist()
        )
        for _ in range(4000)
    ]
    assert np.mean(np.array(indices) > index_by_chance(300, 100, 10)) < 0.004
    assert np.mean(np.array(indices) > 0.6 * index_by_chance(300, 100, 10)) > 0.01


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ([0] * 9 + [20], DriftVerdict.TOO_FEW),
        ([2, 2, 2, 2, 2, 10, 20, 40, 60, 60], DriftVerdict.STABLE),
        ([2, 2, 2, 6, 8, 18, 28, 48, 52, 34], DriftVerdict.SHIFTING),
        ([60, 60, 40, 20, 10, 2, 2, 2, 2, 2], DriftVerdict.DRIFTED),
    ],
)
def test_verdict_follows_the_index(now: list[int], verdict: DriftVerdict) -> None:
    like = reference([20, 20, 20, 20, 20, 100, 200, 400, 600, 600])
    assert compare(Quantity.SCORE, now, like, least=100).verdict is verdict


def test_small_samples_do_not_drift_by_chance() -> None:
    few = reference([0, 0, 0, 0, 2, 3, 5, 5, 10, 15])
    found = compare(Quantity.SCORE, [1, 0, 1, 0, 3, 2, 3, 8, 5, 7], few, least=10)
    assert found.psi is not None
    assert found.chance_psi is not None
    assert found.chance_psi > 1
    assert found.verdict is DriftVerdict.STABLE
