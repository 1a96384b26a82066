"""Learning curves by groups, and forecasts from them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.teach.heads.fitting import Targets
from service.teach.verdict.curve import Measured, forecast, measure
from service.teach.verdict.refitting import Refitting
from tests.unit.teach.verdict.test_verdict import blobs


def points_of(exponent: float, deviation: float = 0.004) -> list[Measured]:
    return [
        Measured(count, 0.4 * (count / 25) ** -exponent, deviation) for count in (25, 50, 100, 200)
    ]


@pytest.mark.parametrize("exponent", [0.2, 0.5, 0.8])
def test_a_power_law_is_continued(exponent: float) -> None:
    found = forecast(points_of(exponent), 200)
    assert found is not None
    error = 0.4 * 8**-exponent
    assert found.gain_low <= error * (1 - 2**-exponent) * 1.05
    assert found.gain_high >= error * (1 - 2**-exponent) * 0.95
    assert found.photos == 400


def test_a_flat_curve_promises_little() -> None:
    flat = [Measured(count, 0.3, 0.003) for count in (25, 50, 100, 200)]
    found = forecast(flat, 200)
    assert found is not None
    assert found.gain_high < 0.05


def test_uncertain_points_widen_the_range() -> None:
    sure, unsure = forecast(points_of(0.5), 200), forecast(points_of(0.5, 0.05), 200)
    assert sure is not None
    assert unsure is not None
    assert unsure.gain_high - unsure.gain_low > sure.gain_high - sure.gain_low


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ((0.48, 0.34, 0.24, 0.17), "Twice the labels would likely bring 4 to 5 points."),
        ((0.24, 0.18, 0.14, 0.11), "Twice the labels would likely bring 2 to 3 points."),
        ((0.10, 0.08, 0.07, 0.01), "Twice the labels would likely bring 1 point at most."),
        ((0.0, 0.0, 0.0, 0.0), "Twice the labels would likely bring less than 1 point."),
    ],
)
def test_sentences(errors: tuple[float, ...], sentence: str) -> None:
    curve = [Measured(25 * 2**place, error, 0.004) for place, error in enumerate(errors)]
    found = forecast(curve, 200)
    assert found is not None
    assert found.sentence == sentence


def test_one_point_is_no_curve() -> None:
    assert forecast(points_of(0.5)[:1], 50) is None


def test_parts_are_nested_and_never_split_a_group() -> None:
    groups = np.repeat(np.arange(40), 3)
    labels = (groups % 2).astype(np.int_)
    seen: list[NDArray[np.int_]] = []

    def refit(fitted_to: NDArray[np.int_], judged: NDArray[np.int_]) -> NDArray[np.bool_]:
        seen.append(fitted_to)
        assert not np.intersect1d(groups[fitted_to], groups[judged]).size
        assert len(fitted_to) + len(judged) == len(groups)
        assert set(labels[fitted_to]) == {0, 1}
        return np.ones(len(judged), np.bool_)

    found = measure(refit, labels, groups, np.random.default_rng(0))
    assert [one.photos for one in found] == [18, 30, 60]
    repeats = len(seen) // 3
    for place in range(repeats):
        small, middle, large = seen[place], seen[repeats + place], seen[2 * repeats + place]
        assert set(small) <= set(middle) <= set(large)


def test_refits_answer_like_the_head() -> None:
    features, labels = blobs([80, 80], apart=6.0)
    refitting = Refitting(features[:, 0], Targets.of_labels(labels, 2))
    order = np.random.default_rng(2).permutation(160)
    assert refitting(order[:40], order[40:]).mean() > 0.97


def test_refits_of_several_labels() -> None:
    features, labels = blobs([80, 80], apart=6.0)
    present = np.stack([labels == 0, labels == 1], axis=1)
    refitting = Refitting(features[:, 0], Targets.of_presence(present))
    order = np.random.default_rng(2).permutation(160)
    assert refitting(order[:40], order[40:]).mean() > 0.95
    assert set(refitting.spread()) == {0, 1}
