"""Temperature, calibration error and abstention threshold, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.calibration import abstention_threshold, fit_temperature, reliability, softmax


def test_softmax_sums_to_one_without_overflow() -> None:
    shares = softmax(np.array([[1e4, 0.0], [-1e4, 0.0]], np.float32))
    assert shares.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_fitted_temperature_is_the_true_one(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 4)).astype(np.float32)
    shares = softmax(logits, temperature)
    labels = (shares.cumsum(1) > rng.random((len(shares), 1))).argmax(1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_calibration_error_is_zero_only_for_calibrated_scores() -> None:
    labels = np.array([0] * 80 + [1] * 20)
    honest = np.tile([0.8, 0.2], (100, 1))
    boasting = np.tile([1.0, 0.0], (100, 1))
    assert reliability(honest, labels).error == pytest.approx(0)
    assert reliability(boasting, labels).error == pytest.approx(0.2)


def test_abstention_threshold_reaches_the_precision() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    shares = np.stack([confidence, 1 - confidence], 1)
    labels = np.array([0, 0, 0, 1, 1])  # the last two answers are wrong
    assert abstention_threshold(shares, labels, 1.0) == 0.7
    assert abstention_threshold(shares, labels, 0.75) == 0.6
    assert abstention_threshold(shares[3:], labels[3:], 0.9) == 1.0
