"""Logits to probabilities, probabilities to the best k."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from schemas.errors import InferenceFailed
from schemas.manifest.model_output import OutputSpec
from service.core.imaging.postprocessing import is_small, probabilities, top_k, top_k_each
from tests.support.suite.examples import examples

thorough = examples(200)


def spec(kind: str = "logits", label_offset: int = 0) -> OutputSpec:
    return OutputSpec.model_validate({"name": "x", "kind": kind, "label_offset": label_offset})


def floats(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_softmax_matches_a_manual_calculation() -> None:
    found = probabilities(floats([0, np.log(3)], [5, 5]), spec(), 1.0)
    assert np.allclose(found, [[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_logits_stay_finite(sign: int) -> None:
    logits = floats([sign * 3e38, 0, 0], [sign * 1000.0, sign * 1000.0, sign * 999.0])
    found = probabilities(logits, spec(), 1.0)  # warnings are errors in tests
    assert np.isfinite(found).all()
    assert np.allclose(found.sum(axis=1), 1)
    assert found[0].argmax() == (0 if sign == 1 else 1)


def test_very_negative_logits_do_not_distort_the_others() -> None:
    found = probabilities(floats([1, 2, -1e30]), spec(), 1.0)
    assert np.allclose(found, [[1 / (1 + np.e), np.e / (1 + np.e), 0]])


@pytest.mark.parametrize("temperature", [0.5, 2.0, 10.0])
def test_temperature_divides_the_logits(temperature: float) -> None:
    logits = floats([1, 2, 4])
    found = probabilities(logits, spec(), temperature)
    assert np.allclose(found, probabilities(logits / np.float32(temperature), spec(), 1.0))
    assert (found.max() > probabilities(logits, spec(), 1.0).max()) is np.bool_(temperature < 1)


@thorough
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(2, 20), st.integers(1, 25)),
        elements=st.floats(-50, 50, width=32),
    ),
    st.sampled_from([1.0, 0.7, 3.0]),
)
def test_rows_together_get_what_each_gets_alone(
    logits: NDArray[np.float32], temperature: float
) -> None:
    assert is_small(logits)
    together = probabilities(logits, spec(), temperature)
    alone = [probabilities(row[np.newaxis], spec(), temperature) for row in logits]
    assert np.array_equal(together, np.concatenate(alone))
    for k in (1, 3, 100):
        best = [top_k(shares, k).tolist() for shares in together]
        assert top_k_each(together, k).tolist() == best


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_output_that_is_not_finite_fails_together_too(bad: float) -> None:
    with pytest.raises(InferenceFailed):
        probabilities(floats([1, 2], [bad, 2]), spec(), 1.0)


def test_raw_output_is_not_modified() -> None:
    logits = floats([1, 2, 3])
    before = logits.copy()
    probabilities(logits, spec(), 2.0)
    assert np.array_equal(logits, before)


def test_probability_output_is_returned_unchanged() -> None:
    shares = floats([0.25, 0.75])
    assert np.array_equal(probabilities(shares, spec("probabilities"), 1.0), shares)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_labels_before_the_offset_are_dropped_after_softmax(kind: str) -> None:
    output = floats([0, 0, np.log(2)]) if kind == "logits" else floats([0.25, 0.25, 0.5])
    assert np.allclose(probabilities(output, spec(kind, label_offset=1), 1.0), [[0.25, 0.5]])


@pytest.mark.parametrize(
    ("shares", "k", "expected"),
    [
        ([0.1, 0.7, 0.2], 1, [1]),
        ([0.1, 0.7, 0.2], 2, [1, 2]),
        ([0.1, 0.7, 0.2], 3, [1, 2, 0]),
        ([0.1, 0.7, 0.2], 99, [1, 2, 0]),
        ([0.25, 0.25, 0.25, 0.25], 2, [0, 1]),
        ([0.2, 0.4, 0.2, 0.2], 2, [1, 0]),
        ([0.2, 0.4, 0.2, 0.2], 3, [1, 0, 2]),
        ([0.0, 0.5, 0.0, 0.5], 1, [1]),
        ([0.0, 0.0, 1.0], 3, [2, 0, 1]),
        ([1.0], 1, [0]),
    ],
)
def test_top_k_is_sorted_with_ties_by_lower_index(
    shares: list[float], k: int, expected: list[int]
) -> None:
    assert top_k(np.array(shares, np.float32), k).tolist() == expected


few_values = arrays.arrays(
    np.float32, st.integers(1, 40), elements=st.sampled_from([0.0, 0.125, 0.25, 0.5])
)


@thorough
@given(few_values, st.integers(1, 50))
def test_top_k_equals_a_truncated_stable_sort(shares: NDArray[np.float32], k: int) -> None:
    expected = sorted(range(shares.size), key=lambda index: (-shares[index], index))[:k]
    assert top_k(shares, k).tolist() == expected


@thorough
@given(
    arrays.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(0.1, 20),
)
def test_probabilities_sum_to_one_and_keep_the_order(
    logits: NDArray[np.float32], temperature: float
) -> None:
    (found,) = probabilities(logits[np.newaxis], spec(), temperature)
    assert abs(float(found.sum()) - 1) < 1e-4
    assert found.min() >= 0
    assert found[logits.argmax()] == found.max()  # close logits may have equal shares
