"""A head: a linear map from the features of a base model to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

HeadKind = Literal["softmax", "sigmoid"]
"""Exactly one label for each photo, or any number of labels."""

Numbers = NDArray[np.float64]
Features = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear classifier of features.

    Attributes:
        weight_KD: float64 [K labels, D features], finite.
        bias_K: float64 [K], finite.
        kind: how logits become probabilities, after a division by the temperature.
    """

    weight_KD: Numbers
    bias_K: Numbers
    kind: HeadKind

    def logits(self, features_ND: Features) -> Numbers:
        """Return the logits [N, K] of N photos, computed in float64."""
        return np.asarray(features_ND, np.float64) @ self.weight_KD.T + self.bias_K
