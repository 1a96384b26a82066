"""Trains the classes after the thousand: pictures of nothing, and flowers that ImageNet lacks.

Each is linear in the features. The loss is the cross entropy of a softmax over all classes, where a
photo may belong to a set of them; only the new weights are trained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from service.modeltools.imagenet.network import FEATURES, ExtraClasses
from tools.imagenet.features import Features, Sample
from tools.imagenet.photos import DRAWINGS, FLOWERS_OF_CALTECH, MIXED, WITHOUT_FLOWERS

KNOWN, NOTHING, FLOWER, KNOWN_OR_FLOWER = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)
EXTRA = 2
PENALTY = 2e-3
"""Factor of the squared weights; thrice or a third changes no figure of the card by a point."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Problem:
    """The optimisation problem.

    features_NF: centred. known_N: log-sum-exp of the thousand logits. allowed_NC: 0 or 1 for the
    thousand together and for each new class. weight_N: sums to 1.
    """

    features_NF: Doubles
    known_N: Doubles
    allowed_NC: Doubles
    weight_N: Doubles

    def loss(self, flat: Doubles) -> tuple[float, Doubles]:
        """Return the penalised loss and its gradient at weights and biases [E * (F + 1)]."""
        weights_EF, bias_E = _unpack(flat)
        logits_NC = np.column_stack([self.known_N, self.features_NF @ weights_EF.T + bias_E])
        shares_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
        shares_NC /= shares_NC.sum(axis=1, keepdims=True)
        right_NC = shares_NC * self.allowed_NC
        right_N = right_NC.sum(axis=1)
        loss = -float(self.weight_N @ np.log(right_N)) + PENALTY * float((weights_EF**2).sum())
        slope_NC = (shares_NC - right_NC / right_N[:, None]) * self.weight_N[:, None]
        slope_NE = slope_NC[:, 1:]
        of_weights = slope_NE.T @ self.features_NF + 2 * PENALTY * weights_EF
        return loss, np.column_stack([of_weights, slope_NE.sum(axis=0)]).ravel()


def train_extra_classes(found: Features) -> ExtraClasses:
    """Fit the new classes on the photos for fitting."""
    fit = found.select(lambda sample: sample.manner == "fit" and _allowed(sample) is not None)
    allowed = np.array([_allowed(sample) for sample in fit.samples], np.float64)
    logits_NK = fit.logits_NK.astype(np.float64)
    largest_N = logits_NK.max(axis=1)
    known_N = largest_N + np.log(np.exp(logits_NK - largest_N[:, None]).sum(axis=1))
    features_NF = fit.features_NF.astype(np.float64)
    mean_F = features_NF.mean(axis=0)
    weight_N = np.full(len(fit.samples), 1 / len(fit.samples))
    problem = _Problem(features_NF - mean_F, known_N, allowed, weight_N)
    start = np.zeros(EXTRA * (FEATURES + 1))
    result = minimize(problem.loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    weights_EF, bias_E = _unpack(result.x)
    return ExtraClasses(
        weights_EF.astype(np.float32), (bias_E - weights_EF @ mean_F).astype(np.float32)
    )


def _allowed(sample: Sample) -> tuple[int, int, int] | None:
    """Return the classes that a photo may belong to; None if unknown."""
    if sample.collection == DRAWINGS:
        return NOTHING
    if sample.collection == MIXED:
        return KNOWN if sample.group in WITHOUT_FLOWERS else KNOWN_OR_FLOWER
    is_flower = sample.collection == "caltech96" and sample.group in FLOWERS_OF_CALTECH
    is_flower |= sample.collection == "flowers" and sample.group != "daisy"
    return FLOWER if is_flower else KNOWN


def _unpack(flat: Doubles) -> tuple[Doubles, Doubles]:
    both = flat.reshape(EXTRA, FEATURES + 1)
    return both[:, :-1], both[:, -1]
