"""The network: level and trend of each channel, one hidden layer, several networks averaged.

Sensors are noisy from flight to flight, and engines wear slowly: so each channel is reduced to its
mean and its slope over the window before anything that is not linear. The rest is a network of some
thousand weights, fitted by L-BFGS with weight decay; the logits of several such networks are
averaged, which is one network with as many hidden layers side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.recipes.turbofan import recipe

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Network:
    """Weights of ``tanh(features @ hidden_FH + bias_H) @ out_HK + bias_K``."""

    hidden_FH: Numbers
    bias_H: Numbers
    out_HK: Numbers
    bias_K: Numbers

    def logits(self, features_NF: Numbers) -> Numbers:
        """Return the logits [N, K]."""
        activations_NH = np.tanh(features_NF @ self.hidden_FH + self.bias_H)
        logits_NK: Numbers = activations_NH @ self.out_HK + self.bias_K
        return logits_NK


def filters(length: int) -> Numbers:
    """Return the filters [2, length] of a channel: its mean, and its slope."""
    places = np.linspace(-1, 1, length)
    return np.stack([np.ones(length), places * np.sqrt(3)]) / length


def features(samples_NCL: Numbers) -> Numbers:
    """Return mean and slope of each channel: [N, 2 * channels]."""
    return np.einsum("ncl,bl->ncb", samples_NCL, filters(samples_NCL.shape[2])).reshape(
        len(samples_NCL), -1
    )


def softmax(logits_NK: Numbers) -> Numbers:
    """Return probabilities [N, K]."""
    shares_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
    shares_NK /= shares_NK.sum(1, keepdims=True)
    return shares_NK


def fit(
    features_NF: Numbers,
    labels_N: NDArray[np.int64],
    *,
    members: int = recipe.MEMBERS,
    hidden: int = recipe.HIDDEN,
    decay: float = recipe.DECAY,
) -> Network:
    """Fit the averaged network; deterministic."""
    found = [
        _fit_one(features_NF, labels_N, hidden, decay, recipe.SEED + number)
        for number in range(members)
    ]
    return Network(
        np.concatenate([one.hidden_FH for one in found], 1),
        np.concatenate([one.bias_H for one in found]),
        np.concatenate([one.out_HK for one in found]) / members,
        np.mean([one.bias_K for one in found], 0),
    )


def _fit_one(
    features_NF: Numbers, labels_N: NDArray[np.int64], hidden: int, decay: float, seed: int
) -> Network:
    count, width, classes = len(features_NF), features_NF.shape[1], len(recipe.LABELS)
    truth_NK = np.eye(classes)[labels_N]
    shapes = [(width, hidden), (hidden,), (hidden, classes), (classes,)]
    parts = _parts(shapes)
    dice = np.random.default_rng(seed)
    begin = np.concatenate(
        [
            dice.normal(0, width**-0.5, width * hidden),
            np.zeros(hidden),
            dice.normal(0, hidden**-0.5, hidden * classes),
            np.zeros(classes),
        ]
    )

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        hidden_FH, bias_H, out_HK, bias_K = parts(weights)
        activations_NH = np.tanh(features_NF @ hidden_FH + bias_H)
        shares_NK = softmax(activations_NH @ out_HK + bias_K)
        error_NK = (shares_NK - truth_NK) / count
        error_NH = (error_NK @ out_HK.T) * (1 - activations_NH**2)
        slopes = (
            features_NF.T @ error_NH + decay * hidden_FH,
            error_NH.sum(0),
            activations_NH.T @ error_NK + decay * out_HK,
            error_NK.sum(0),
        )
        likelihood = -np.log(shares_NK[np.arange(count), labels_N] + 1e-300).mean()
        size = (hidden_FH**2).sum() + (out_HK**2).sum()
        return float(likelihood + decay / 2 * size), np.concatenate([one.ravel() for one in slopes])

    return Network(*parts(_least(loss, begin)))


def fit_logistic(features_NF: Numbers, labels_N: NDArray[np.int64]) -> Callable[[Numbers], Numbers]:
    """Fit the logistic regression that the network is compared with; return its logits."""
    count, width, classes = len(features_NF), features_NF.shape[1], len(recipe.LABELS)
    truth_NK = np.eye(classes)[labels_N]
    parts = _parts([(width, classes), (classes,)])
    decay = recipe.LOGISTIC_DECAY

    def loss(weights: Numbers) -> tuple[float, Numbers]:
        weights_FK, bias_K = parts(weights)
        shares_NK = softmax(features_NF @ weights_FK + bias_K)
        error_NK = (shares_NK - truth_NK) / count
        slopes = (features_NF.T @ error_NK + decay * weights_FK).ravel(), error_NK.sum(0)
        likelihood = -np.log(shares_NK[np.arange(count), labels_N] + 1e-300).mean()
        return float(likelihood + decay / 2 * (weights_FK**2).sum()), np.concatenate(slopes)

    weights_FK, bias_K = parts(_least(loss, np.zeros((width + 1) * classes)))
    return lambda rows_NF: rows_NF @ weights_FK + bias_K


def _least(loss: Callable[[Numbers], tuple[float, Numbers]], begin: Numbers) -> Numbers:
    options = {"maxiter": recipe.ITERATIONS}
    found: Numbers = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
    return found


def _parts(shapes: list[tuple[int, ...]]) -> Callable[[Numbers], list[Numbers]]:
    """Return the function that cuts a vector into arrays of these shapes."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]

    def cut(vector: Numbers) -> list[Numbers]:
        pieces = np.split(vector, ends)
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]

    return cut
