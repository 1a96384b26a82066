"""Refits of a ridge on some of the photos, judged on others, for the learning curve.

Inner products of all photos are computed once; a refit on n of them is the decomposition of n x n
of these numbers. Its strength is the one with the least leave-one-out error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.teach.heads.arrays import Features
from service.teach.heads.fitting import Targets

STRENGTHS = 10.0 ** np.arange(-4.0, 1.5, 0.5)
"""In units of the mean squared length of the centred features."""


class Refitting:
    """Fits a ridge to some photos and judges it on others."""

    def __init__(self, features_ND: Features, targets: Targets) -> None:
        """``features_ND``: of N photos, as the server sees them, behind the map of a head."""
        centred_ND = np.asarray(features_ND, np.float32)
        centred_ND = centred_ND - centred_ND.mean(axis=0)
        self._products_NN = np.asarray(centred_ND @ centred_ND.T, np.float64)
        self._products_NN /= max(float(np.trace(self._products_NN)) / len(features_ND), 1e-12)
        self._targets = targets

    def spread(self) -> NDArray[np.int_]:
        """Return a class of each photo, by which parts are spread; of several the rarest."""
        order_K = np.argsort(self._targets.counts_K, kind="stable")
        first_N = self._targets.present_NK[:, order_K].argmax(axis=1)
        has_any_N = self._targets.present_NK.any(axis=1)
        return np.where(has_any_N, order_K[first_N], len(order_K)).astype(np.int_)

    def __call__(self, fitted_to: NDArray[np.int_], judged: NDArray[np.int_]) -> NDArray[np.bool_]:
        """Return whether each judged photo is answered right, in the order of ``judged``."""
        answers_mK = self.answers(fitted_to, judged)
        other = self._targets.at(judged)
        if other.kind == "softmax":
            labels_m = other.present_NK.argmax(axis=1)
            return np.asarray(answers_mK.argmax(axis=1) == labels_m, np.bool_)
        wrong_mK = ((answers_mK >= 0.5) != other.present_NK) & other.known_NK
        return np.asarray(~wrong_mK.any(axis=1), np.bool_)

    def answers(self, fitted_to: NDArray[np.int_], asked: NDArray[np.int_]) -> NDArray[np.float64]:
        """Return the ridge's answers [asked, K], near 1 for present labels and 0 for others.

        One label for each photo: those without a photo are -inf.
        """
        own = self._targets.at(fitted_to)
        means_N = self._products_NN[fitted_to].mean(axis=0)
        inside_nn = self._products_NN[np.ix_(fitted_to, fitted_to)]
        inside_nn = inside_nn - means_N[fitted_to] - means_N[fitted_to, np.newaxis]
        whole = float(means_N[fitted_to].mean())
        inside_nn += whole
        across_mn = self._products_NN[np.ix_(asked, fitted_to)]
        across_mn = across_mn - means_N[fitted_to] - means_N[asked, np.newaxis] + whole
        answers_mK: NDArray[np.float64] = across_mn @ _dual(inside_nn, own) + _means(own)
        if own.kind == "softmax":
            answers_mK[:, own.counts_K == 0] = -np.inf
        return answers_mK


def _dual(inside_nn: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Return the coefficients of the photos, [n, K], at the best of ``STRENGTHS``."""
    wanted_nK = targets.present_NK - _means(targets)
    values_n, vectors_nn = np.linalg.eigh(inside_nn)
    values_n = np.maximum(values_n, 0.0)
    turned_nK = vectors_nn.T @ wanted_nK
    squares_nn = np.square(vectors_nn)
    best, found_n = np.inf, 1 / (values_n + STRENGTHS[-1])
    for strength in STRENGTHS:
        kept_n = values_n / (values_n + strength)
        leverage_n = np.minimum(squares_nn @ kept_n + 1 / len(values_n), 1 - 1e-9)
        residual_nK = wanted_nK - vectors_nn @ (kept_n[:, np.newaxis] * turned_nK)
        error = float(np.square(residual_nK / (1 - leverage_n)[:, np.newaxis]).sum())
        if error < best:
            best, found_n = error, 1 / (values_n + strength)
    coefficients: NDArray[np.float64] = vectors_nn @ (found_n[:, np.newaxis] * turned_nK)
    return coefficients


def _means(targets: Targets) -> NDArray[np.float64]:
    means_K: NDArray[np.float64] = targets.present_NK.mean(axis=0)
    return means_K
