"""Calibration of a classifier's scores: temperature scaling and calibration error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 15


class Reliability(NamedTuple):
    """Of each confidence bin: mean confidence, share right, share of all photos."""

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error (Guo et al., 2017), 0..1."""
        return float((self.weight * np.abs(self.confidence - self.accuracy)).sum())


def softmax(logits_NK: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities [N, K] at a temperature."""
    scaled = logits_NK.astype(np.float64) / temperature
    scaled -= scaled.max(1, keepdims=True)
    np.exp(scaled, out=scaled)
    return scaled / scaled.sum(1, keepdims=True)


def fit_temperature(logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]) -> float:
    """The temperature of least negative log-likelihood, by golden-section search in 0.1..10."""

    def loss(log_temperature: float) -> float:
        shares = softmax(logits_NK, math.exp(log_temperature))
        return float(-np.log(shares[np.arange(len(labels_N)), labels_N] + 1e-12).mean())

    low, high = math.log(0.1), math.log(10)
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 4)


def reliability(shares_NK: NDArray[np.float64], labels_N: NDArray[np.int64]) -> Reliability:
    """Confidence against accuracy in ``BINS`` bins of equal width."""
    best = shares_NK.argmax(1)
    confidence = shares_NK.max(1)
    right = best == labels_N
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    safe = np.maximum(counts, 1)
    return Reliability(
        np.bincount(number, confidence, BINS) / safe,
        np.bincount(number, right, BINS) / safe,
        counts / len(labels_N),
    )


def abstention_threshold(
    shares_NK: NDArray[np.float64], labels_N: NDArray[np.int64], accuracy: float
) -> float:
    """The lowest score above which at least the share ``accuracy`` of answers is right."""
    confidence = shares_NK.max(1)
    right = shares_NK.argmax(1) == labels_N
    order = np.argsort(-confidence)
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(running >= accuracy)
    return round(float(confidence[order][good[-1]]), 3) if len(good) else 1.0
