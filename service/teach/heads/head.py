"""A head: from the features of a base model to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.teach.heads.arrays import Features, Numbers
from service.teach.heads.kernel import KernelMap

HeadKind = Literal["softmax", "sigmoid"]
"""Exactly one label for each photo, or any number of labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear classifier of features, or of what a fixed map makes of them.

    Attributes:
        weight_KD: float64 [K labels, D features], finite; [K, R] behind a map to R numbers.
        bias_K: float64 [K], finite.
        kind: how logits become probabilities, after a division by the temperature.
        kernel: the map; None for the features themselves.
    """

    weight_KD: Numbers
    bias_K: Numbers
    kind: HeadKind
    kernel: KernelMap | None = None

    @property
    def features(self) -> int:
        """The number of features of a photo, D."""
        if self.kernel is None:
            return int(self.weight_KD.shape[1])
        return self.kernel.features

    def mapped(self, features_ND: Features) -> Numbers:
        """Return the numbers that the weights are multiplied by, float64 [N, D] or [N, R]."""
        if self.kernel is not None:
            return self.kernel(features_ND)
        return np.asarray(features_ND, np.float64)

    def logits(self, features_ND: Features) -> Numbers:
        """Return the logits [N, K] of N photos, computed in float64."""
        return self.mapped(features_ND) @ self.weight_KD.T + self.bias_K
