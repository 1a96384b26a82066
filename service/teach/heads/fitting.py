"""Fits a head to the features of labelled photos, and says what it gives for unseen ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.arrays import Features, Numbers
from service.teach.heads.distance import Distance, fit_distance
from service.teach.heads.head import Head
from service.teach.heads.kernel import KernelMap, fit_kernel
from service.teach.heads.problems import CannotFit
from service.teach.heads.ridge import Ridge, Rows
from service.teach.heads.sums import Sums
from service.teach.heads.targets import FitOptions, Targets
from service.teach.heads.temperature import fit_temperature

STRENGTHS = tuple(float(10**power) for power in np.arange(-4, 2.01, 0.5))
"""Tried if none is given; in units of ``Ridge.scale``."""
KERNEL_STRENGTHS = tuple(float(10**power) for power in np.arange(-2, 1.01, 0.5))
"""Tried behind a kernel: weaker ones have weights that float32 cannot add up."""

__all__ = ["FitOptions", "Fitted", "Targets", "fit"]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A head, and the honest evidence of how well it does.

    Attributes:
        head: to be grafted onto the base.
        strength: of the ridge, as given or chosen, in units of ``Ridge.scale``.
        held_out_NK: float64 [N, K]: the logits of view 0 of each photo by a head that saw no photo
            of its group (leave-one-group-out, closed form).
        sums: of the photos; sums of several sites add up.
        distance: how far a photo is from all of them.
        temperature: by which to divide logits; fitted to ``held_out_NK``.
    """

    head: Head
    strength: float
    held_out_NK: Numbers
    sums: Sums
    distance: Distance
    temperature: float


def fit(
    features_NVD: NDArray[np.float32],
    targets: Targets,
    groups_N: NDArray[np.integer],
    *,
    options: FitOptions | None = None,
) -> Fitted:
    """Fit a head.

    Args:
        features_NVD: float32 [N photos, V views, D]; view 0 is what the server sees.
        targets: of the N photos.
        groups_N: int [N]: photos with the same number are not independent.

    Raises:
        CannotFit: no photos, fewer than two labels, or features that are not finite.
    """
    options = options or FitOptions()
    _check(features_NVD, targets)
    view_ND = np.asarray(features_NVD[:, 0], np.float64)
    found = [_solved(features_NVD, targets, groups_N, options, None)]
    if options.kind != "linear":
        kernel = fit_kernel(view_ND)
        if kernel is not None:
            found.append(_solved(features_NVD, targets, groups_N, options, kernel))
    best = found[-1] if options.kind == "kernel" else min(found, key=lambda one: one.error)
    return Fitted(
        best.head,
        best.strength,
        best.held_out_NK,
        Sums.of(features_NVD, targets.present_NK),
        fit_distance(view_ND, targets.present_NK, groups_N),
        fit_temperature(best.held_out_NK, targets),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Solved:
    """The best head of one map; ``error`` is the squared one of held-out answers."""

    head: Head
    strength: float
    held_out_NK: Numbers
    error: float


def _solved(
    features_NVD: NDArray[np.float32],
    targets: Targets,
    groups_N: NDArray[np.integer],
    options: FitOptions,
    kernel: KernelMap | None,
) -> _Solved:
    """Return the head of the strength with the least held-out error of first views."""
    views = features_NVD.shape[1]
    y_NK, weights_N = targets.numbers(), _weights(targets, options)
    rows_RD: Features = features_NVD.reshape(-1, features_NVD.shape[2])
    ridge = Ridge(
        Rows(
            np.asarray(rows_RD, np.float64) if kernel is None else kernel(rows_RD),
            np.repeat(y_NK, views, axis=0),
            np.repeat(weights_N / views, views),
            np.repeat(groups_N, views),
        )
    )
    tried = STRENGTHS if kernel is None else KERNEL_STRENGTHS
    known_NK = targets.known_NK * weights_N[:, np.newaxis]
    best: tuple[float, float, Numbers] | None = None
    for strength in tried if options.strength is None else (options.strength,):
        held_NK = ridge.held_out(strength)[::views]
        error = float(np.sum(known_NK * (held_NK - y_NK) ** 2))
        if best is None or error < best[0]:
            best = (error, strength, held_NK)
    if best is None:
        raise CannotFit("There is no strength to try.")
    weight_KD, bias_K = ridge.head(best[1])
    head = Head(weight_KD, bias_K, targets.kind, kernel)
    return _Solved(head, best[1], best[2], best[0])


def _weights(targets: Targets, options: FitOptions) -> Numbers:
    """Return the weight of each photo, with a mean of 1."""
    count = len(targets)
    if options.class_weights == "none" or targets.kind == "sigmoid":
        return np.ones(count)
    counts_K = targets.counts_K
    shares_K = count / (np.maximum(counts_K, 1) * np.count_nonzero(counts_K))
    weights_N: Numbers = shares_K[targets.labels_N]
    return weights_N


def _check(features_NVD: Features, targets: Targets) -> None:
    if len(features_NVD) == 0:
        raise CannotFit("There are no labelled photos.")
    bad = np.flatnonzero(~np.isfinite(features_NVD).all(axis=(1, 2)))
    if bad.size:
        raise CannotFit(f"The features of {bad.size} photos are not finite.", bad.tolist())
    if np.count_nonzero(targets.counts_K) < (2 if targets.kind == "softmax" else 1):
        raise CannotFit("All photos have the same label; at least two labels are needed.")
