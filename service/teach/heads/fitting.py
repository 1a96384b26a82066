"""Fits a head to the features of labelled photos, and says what it gives for unseen ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.distance import Distance, fit_distance
from service.teach.heads.head import Features, Head, Numbers
from service.teach.heads.problems import CannotFit
from service.teach.heads.sums import Sums
from service.teach.heads.targets import FitOptions, Targets
from service.teach.heads.temperature import fit_temperature

STRENGTHS = tuple(float(10**power) for power in np.arange(-1, 4.5, 0.5))

__all__ = ["FitOptions", "Fitted", "Targets", "fit"]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A head, and the honest evidence of how well it does.

    Attributes:
        head: to be grafted onto the base.
        strength: of the ridge, as given or chosen.
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
    x_ND = np.asarray(features_NVD, np.float64).mean(axis=1)
    mean_D, scale = x_ND.mean(axis=0), x_ND.std() or 1.0
    z_ND = (x_ND - mean_D) / scale
    y_NK = targets.numbers()
    values, vectors = np.linalg.eigh(z_ND @ z_ND.T)
    best = None
    for strength in STRENGTHS if options.strength is None else (options.strength,):
        hat = vectors * (np.maximum(values, 0) / (np.maximum(values, 0) + strength)) @ vectors.T
        hat += 1 / len(hat)
        held = _held_out(hat, y_NK, groups_N)
        error = float(np.mean((held - y_NK) ** 2))
        if best is None or error < best[0]:
            best = (error, strength, held)
    if best is None:
        raise CannotFit("There is no strength to try.")
    _, strength, held = best
    inner = vectors / (np.maximum(values, 0) + strength) @ vectors.T
    weight_KD = (z_ND.T @ (inner @ (y_NK - y_NK.mean(axis=0)))).T / scale
    bias_K = y_NK.mean(axis=0) - weight_KD @ mean_D
    sums = Sums.of(features_NVD, targets.present_NK)
    head = Head(weight_KD, bias_K, targets.kind)
    view_ND = np.asarray(features_NVD[:, 0], np.float64)
    distance = fit_distance(view_ND, targets.present_NK, groups_N)
    return Fitted(head, strength, held, sums, distance, fit_temperature(held, targets))


def _held_out(hat_NN: Numbers, y_NK: Numbers, groups_N: NDArray[np.integer]) -> Numbers:
    """Leave-one-group-out predictions of a linear smoother."""
    fitted = hat_NN @ y_NK
    held = np.empty_like(y_NK)
    for group in np.unique(groups_N):
        rows = np.flatnonzero(groups_N == group)
        block = np.eye(len(rows)) - hat_NN[np.ix_(rows, rows)]
        held[rows] = y_NK[rows] - np.linalg.lstsq(block, y_NK[rows] - fitted[rows], rcond=None)[0]
    return held


def _check(features_NVD: Features, targets: Targets) -> None:
    if len(features_NVD) == 0:
        raise CannotFit("There are no labelled photos.")
    bad = np.flatnonzero(~np.isfinite(features_NVD).all(axis=(1, 2)))
    if bad.size:
        raise CannotFit(f"The features of {bad.size} photos are not finite.", bad.tolist())
    if np.count_nonzero(targets.counts_K) < (2 if targets.kind == "softmax" else 1):
        raise CannotFit("All photos have the same label; at least two labels are needed.")
