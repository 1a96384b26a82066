"""Held-out answers: what heads said of photos whose group they had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out answers of photos that have one label each. Axes: N photos, K classes.

    Attributes:
        labels_N: class of each photo.
        groups_N: group of each photo.
        logits_NK: of a head that saw no photo of the group.
        judged_N: whether that head knew the photo's class and gave finite logits.
    """

    labels_N: NDArray[np.int_]
    groups_N: NDArray[np.int_]
    logits_NK: NDArray[np.float64]
    judged_N: NDArray[np.bool_]

    @property
    def answers_N(self) -> NDArray[np.int_]:
        """Class of the largest logit."""
        if not self.logits_NK.size:
            return np.zeros(len(self.labels_N), dtype=np.int_)
        return np.nan_to_num(self.logits_NK, nan=-np.inf).argmax(axis=1)

    @property
    def right_N(self) -> NDArray[np.bool_]:
        """Whether the answer is the label; false where a photo is not judged."""
        return (self.answers_N == self.labels_N) & self.judged_N

    def scores_NK(self, temperature: float) -> NDArray[np.float64]:
        """Return probabilities: the softmax of logits / temperature; uniform if not finite."""
        return softmax(self.logits_NK / temperature)


@dataclass(frozen=True, slots=True)
class HeldOutLabels:
    """Held-out answers of photos that have several labels each. Axes: N photos, K classes.

    Attributes:
        present_NK: whether the photo has the label.
        judged_NK: whether that is known, and the head had seen the label present and absent.
        groups_N, logits_NK: as in ``HeldOut``.
        thresholds_K: least score of a label that counts as present.
        temperature: logits are divided by it.
    """

    present_NK: NDArray[np.bool_]
    judged_NK: NDArray[np.bool_]
    groups_N: NDArray[np.int_]
    logits_NK: NDArray[np.float64]
    thresholds_K: NDArray[np.float64]
    temperature: float

    @property
    def scores_NK(self) -> NDArray[np.float64]:
        """Independent scores, 0..1; 0.5 where logits are not finite."""
        return sigmoid(self.logits_NK / self.temperature)

    @property
    def answers_NK(self) -> NDArray[np.bool_]:
        """Labels that are answered as present."""
        return self.scores_NK >= self.thresholds_K

    @property
    def judged_N(self) -> NDArray[np.bool_]:
        """Photos of which at least one label is judged."""
        judged: NDArray[np.bool_] = self.judged_NK.any(axis=1)
        return judged

    @property
    def right_N(self) -> NDArray[np.bool_]:
        """Whether all judged labels of a photo are answered right."""
        wrong_NK = (self.answers_NK != self.present_NK) & self.judged_NK
        right: NDArray[np.bool_] = ~wrong_NK.any(axis=1) & self.judged_N
        return right


def groups_of_classes(
    present_NK: NDArray[np.bool_], groups_N: NDArray[np.int_]
) -> NDArray[np.int_]:
    """Return the number of groups in which each class is present, [K]."""
    return np.array(
        [len(np.unique(groups_N[present_N])) for present_N in present_NK.T], dtype=np.int_
    )


def one_hot(labels_N: NDArray[np.int_], classes: int) -> NDArray[np.bool_]:
    """Return whether each photo has each class, [N, K]; labels outside 0..K-1 have none."""
    hot: NDArray[np.bool_] = labels_N[:, np.newaxis] == np.arange(classes)
    return hot


def softmax(logits_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities that sum to 1 in each row; uniform where logits are not finite."""
    finite_N1 = np.isfinite(logits_NK).all(axis=1, keepdims=True)
    safe_NK = np.where(finite_N1, logits_NK, 0.0)
    if not safe_NK.size:
        return safe_NK
    raised_NK = np.exp(safe_NK - safe_NK.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = raised_NK / raised_NK.sum(axis=1, keepdims=True)
    return shares


def sigmoid(logits_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)) without overflow; 0.5 where logits are not a number."""
    half_NK = np.tanh(np.nan_to_num(logits_NK, nan=0.0) / 2)
    return 0.5 * (1 + half_NK)
