"""Spreads photos over sites: alike, skewed, or one class a site."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WAYS = ("alike", "skewed", "one class")
_CONCENTRATION = 0.3
_LEAST_OF_CLASS = 3


def spread(labels_N: NDArray[np.int_], sites: int, how: str, seed: int) -> list[NDArray[np.int_]]:
    """Return the rows of each site that has any.

    Args:
        how: ``alike``; ``skewed``: shares of each class from a Dirichlet distribution of 0.3;
            ``one class``: the classes are dealt out, so that a site has one, or none, or some.
    """
    dice = np.random.default_rng(seed)
    if how == "alike":
        return list(np.array_split(dice.permutation(len(labels_N)), sites))
    if how == "skewed":
        shares_KS = dice.dirichlet(np.full(sites, _CONCENTRATION), int(labels_N.max()) + 1)
        chosen_N = np.array([dice.choice(sites, p=shares_KS[label]) for label in labels_N])
        _gather_few(chosen_N, labels_N, sites)
    else:
        chosen_N = labels_N % sites
    found = [np.flatnonzero(chosen_N == site) for site in range(sites)]
    return [rows for rows in found if len(rows)]


def _gather_few(chosen_N: NDArray[np.int_], labels_N: NDArray[np.int_], sites: int) -> None:
    """Move photos of a class to the site that has most of it, where a site has one or two."""
    for label in np.unique(labels_N):
        own_N = labels_N == label
        counts = np.bincount(chosen_N[own_N], minlength=sites)
        for site in np.flatnonzero((counts > 0) & (counts < _LEAST_OF_CLASS)):
            chosen_N[own_N & (chosen_N == site)] = int(np.argmax(counts))
