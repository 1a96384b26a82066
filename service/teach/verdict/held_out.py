"""Held-out answers: what heads said of photos whose group they had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.fitting import Fitted, Targets

PRESENT = 0.5
"""Score from which a label of several counts as present."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Held-out answers of photos that have one label each. Axes: N photos, K classes.

    Attributes:
        labels_N: class of each photo.
        groups_N: group of each photo.
        logits_NK: of a head that saw no photo of the group.
        scores_NK: their softmax; uniform where logits are not finite.
        answers_N: class of the largest logit.
        judged_N: whether that head knew the photo's class and gave finite logits.
        right_N: whether the answer is the label; false where a photo is not judged.
    """

    labels_N: NDArray[np.int_]
    groups_N: NDArray[np.int_]
    logits_NK: NDArray[np.float64]
    scores_NK: NDArray[np.float64]
    answers_N: NDArray[np.int_]
    judged_N: NDArray[np.bool_]
    right_N: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutLabels:
    """Held-out answers of photos that have several labels each. Axes: N photos, K classes.

    Attributes:
        present_NK: whether the photo has the label.
        groups_N: group of each photo.
        scores_NK: independent scores, 0..1; 0.5 where logits are not finite.
        answers_NK: labels that are answered as present.
        judged_NK: whether presence is known, and the head had seen the label present and absent.
        judged_N: whether any label of the photo is judged.
        right_N: whether all judged labels of the photo are answered right.
    """

    present_NK: NDArray[np.bool_]
    groups_N: NDArray[np.int_]
    scores_NK: NDArray[np.float64]
    answers_NK: NDArray[np.bool_]
    judged_NK: NDArray[np.bool_]
    judged_N: NDArray[np.bool_]
    right_N: NDArray[np.bool_]


def held_out_answers(
    fitted: Fitted, targets: Targets, groups_N: NDArray[np.int_]
) -> HeldOut | HeldOutLabels:
    """Return the held-out answers of a head, and which of them can be judged.

    A photo is judged if its class has photos of another group: otherwise the head that answered
    had never seen the class. A label of several needs other groups with it and without it.
    """
    if targets.kind == "softmax":
        return _one_each(fitted, targets, groups_N)
    return _several_each(fitted, targets, groups_N)


def _one_each(fitted: Fitted, targets: Targets, groups_N: NDArray[np.int_]) -> HeldOut:
    logits_NK = np.asarray(fitted.held_out_NK, np.float64)
    labels_N = np.asarray(targets.present_NK.argmax(axis=1), np.int_)
    several_K = groups_of_classes(targets.present_NK, groups_N) > 1
    judged_N = np.isfinite(logits_NK).all(axis=1) & several_K[labels_N]
    judged_N &= bool(np.count_nonzero(targets.counts_K) > 1)
    answers_N = np.asarray(np.nan_to_num(logits_NK, nan=-np.inf).argmax(axis=1), np.int_)
    return HeldOut(
        labels_N=labels_N,
        groups_N=groups_N,
        logits_NK=logits_NK,
        scores_NK=softmax(logits_NK / fitted.temperature),
        answers_N=answers_N,
        judged_N=judged_N,
        right_N=(answers_N == labels_N) & judged_N,
    )


def _several_each(fitted: Fitted, targets: Targets, groups_N: NDArray[np.int_]) -> HeldOutLabels:
    logits_NK = np.asarray(fitted.held_out_NK, np.float64)
    present_NK, known_NK = targets.present_NK, targets.known_NK
    with_K = groups_of_classes(present_NK & known_NK, groups_N)
    without_K = groups_of_classes(~present_NK & known_NK, groups_N)
    judged_NK = known_NK & np.isfinite(logits_NK) & ((with_K > 1) & (without_K > 1))
    judged_N = np.asarray(judged_NK.any(axis=1), np.bool_)
    scores_NK = sigmoid(logits_NK / fitted.temperature)
    answers_NK = np.asarray(scores_NK >= PRESENT, np.bool_)
    wrong_N = ((answers_NK != present_NK) & judged_NK).any(axis=1)
    return HeldOutLabels(
        present_NK=present_NK,
        groups_N=groups_N,
        scores_NK=scores_NK,
        answers_NK=answers_NK,
        judged_NK=judged_NK,
        judged_N=judged_N,
        right_N=judged_N & ~wrong_N,
    )


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
