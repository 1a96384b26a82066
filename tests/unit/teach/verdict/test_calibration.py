"""Thresholds that keep a promised precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.teach.verdict.calibration import expected_error, keep_promise


def test_nineteen_right_answers_promise_95_percent() -> None:
    scores = np.linspace(0.5, 0.99, 19)
    kept = keep_promise(scores, np.ones(19, np.bool_), 0.95)
    assert kept is not None
    assert (kept.threshold, kept.coverage, kept.precision) == (0.5, 1.0, 1.0)
    assert keep_promise(scores[:18], np.ones(18, np.bool_), 0.95) is None


def test_low_scores_are_refused_where_they_are_wrong() -> None:
    scores = np.linspace(0.3, 1.0, 100)
    right = scores > 0.5
    kept = keep_promise(scores, right, 0.95)
    assert kept is not None
    assert 0.4 < kept.threshold < 0.52
    assert kept.precision >= 0.95


def test_equal_scores_stay_together() -> None:
    scores = np.full(40, 0.8)
    assert keep_promise(scores, np.arange(40) < 30, 0.95) is None


def test_nothing_is_promised_without_photos() -> None:
    assert keep_promise(np.zeros(0), np.zeros(0, np.bool_), 0.95) is None
    assert expected_error(np.zeros(0), np.zeros(0, np.bool_)) is None


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80),
    st.floats(0.5, 0.99),
)
def test_the_threshold_answers_what_it_says(
    rows: list[tuple[float, bool]], promised: float
) -> None:
    scores = np.array([score for score, _ in rows])
    right = np.array([is_right for _, is_right in rows])
    kept = keep_promise(scores, right, promised)
    if kept is None:
        return
    answered = scores >= kept.threshold
    assert answered.mean() == pytest.approx(kept.coverage)
    assert right[answered].mean() == pytest.approx(kept.precision)
    assert kept.precision >= promised


def test_new_photos_keep_the_promise_on_average() -> None:
    rng = np.random.default_rng(9)
    answered, wrong = 0, 0
    for _ in range(200):
        scores = rng.random(60)
        kept = keep_promise(scores, rng.random(60) < scores**0.1, 0.9)
        if kept is not None:
            new = rng.random(500)
            is_right = rng.random(500) < new**0.1
            answered += int((new >= kept.threshold).sum())
            wrong += int((~is_right & (new >= kept.threshold)).sum())
    assert wrong / answered <= 0.1


def test_perfect_calibration_has_no_error() -> None:
    assert expected_error(np.full(10, 0.8), np.arange(10) < 8) == pytest.approx(0)
    assert expected_error(np.full(10, 1.0), np.arange(10) < 8) == pytest.approx(0.2)
