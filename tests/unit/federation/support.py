"""Photos of drawn classes, spread over sites in several ways."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.federation import FederationBase
from service.federation.computing import site_sums
from service.federation.wire import SiteSums, decode, encode

WIDTH, CLASSES = 24, ("glass", "metal", "paper", "plastic")
BASE = FederationBase(
    name="base", version=1, sha256="a" * 64, tensor="mean", width=WIDTH, features="b" * 64
)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Photos:
    """Features and labels."""

    features_ND: NDArray[np.float32]
    labels_N: Rows


def photos(count: int = 800, seed: int = 0, spread: float = 1.6) -> Photos:
    """Draw photos: classes are Gaussian around means of their own."""
    means_KD = np.random.default_rng(99).normal(size=(len(CLASSES), WIDTH))
    dice = np.random.default_rng(seed)
    labels_N = dice.integers(0, len(CLASSES), count)
    noise_ND = dice.normal(size=(count, WIDTH)) * spread * np.linspace(0.3, 2, WIDTH)
    features_ND = (means_KD[labels_N] + noise_ND + 3).astype(np.float32)
    return Photos(features_ND, labels_N)


def spread(labels_N: Rows, sites: int, how: str) -> list[Rows]:
    """Return the rows of each site: alike, skewed, or one class (or two) a site."""
    dice = np.random.default_rng(5)
    if how == "alike":
        return list(np.array_split(dice.permutation(len(labels_N)), sites))
    if how == "skewed":
        shares_KS = dice.dirichlet(np.full(sites, 0.4), len(CLASSES))
        chosen_N = np.array([dice.choice(sites, p=shares_KS[label]) for label in labels_N])
    else:
        chosen_N = labels_N % sites
    return [np.flatnonzero(chosen_N == site) for site in range(sites)]


def sent(given: Photos, rows: Rows, site: str = "a", sequence: int = 1) -> SiteSums:
    """Return what the server reads of a site's file."""
    made = site_sums(
        given.features_ND[rows],
        given.labels_N[rows],
        CLASSES,
        BASE,
        site=site,
        sequence=sequence,
    )
    return decode(encode(made))
