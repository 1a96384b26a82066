"""Temperature and accuracy without photos: logits are drawn from what the sums describe.

Of each class at a site, the sums give the mean of the features, and of all its classes together
the covariance. Logits are linear in features, so these give the mean and covariance of logits. A
site is answered by the head of all others, so that the estimate holds for a new site.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.federation.arithmetic.harm import total
from service.federation.arithmetic.solving import Solved, solve_fast
from service.teach.heads.arrays import Numbers
from service.teach.heads.sums import Sums
from service.teach.heads.targets import Targets
from service.teach.heads.temperature import fit_temperature

_DRAWN = 200
"""Logits drawn of a class at a site, at most: as many as it has photos."""
_SEED = 7


@dataclass(frozen=True, slots=True)
class Estimate:
    """``accuracy``: None if no site can be answered by the others."""

    temperature: float
    accuracy: float | None


def estimate(sites: Mapping[str, Sums], strength: float) -> Estimate:
    """Return the temperature of a head, and its likely accuracy at a site that was left out.

    Args:
        sites: sums with the same classes, of at least two of these.
        strength: of the ridge.
    """
    dice = np.random.default_rng(_SEED)
    drawn = []
    for name in sorted(sites):
        rest = [one for other, one in sites.items() if other != name]
        if not rest:
            continue
        others = total(rest)
        known_K = (others.counts_K > 0) & (sites[name].counts_K > 0)
        if np.count_nonzero(others.counts_K) > 1 and known_K.any():
            solved = solve_fast(others, strength)
            drawn += _drawn(solved, sites[name], known_K, others.counts_K > 0, dice)
    if not drawn:
        whole = total(list(sites.values()))
        present_K = whole.counts_K > 0
        own = _drawn(solve_fast(whole, strength), whole, present_K, present_K, dice)
        return Estimate(_temperature(own, len(whole.counts_K)), None)
    right = sum(int((logits_NK.argmax(axis=1) == label).sum()) for label, logits_NK in drawn)
    count = sum(len(logits_NK) for _, logits_NK in drawn)
    classes = len(next(iter(sites.values())).counts_K)
    return Estimate(_temperature(drawn, classes), right / count)


_Drawn = list[tuple[int, Numbers]]


def _drawn(
    solved: Solved,
    sums: Sums,
    wanted_K: NDArray[np.bool_],
    known_K: NDArray[np.bool_],
    dice: np.random.Generator,
) -> _Drawn:
    """Draw logits of the wanted classes of a site; those of unknown classes are far below."""
    present_K = sums.counts_K > 0
    labelled = float(sums.counts_K.sum())
    means_KD = sums.xy_KD[present_K] / sums.counts_K[present_K][:, np.newaxis]
    within_DD = sums.xx_DD - (means_KD.T * sums.counts_K[present_K]) @ means_KD
    degrees = max(labelled - int(present_K.sum()), 1.0)
    weight_KD = solved.weight_KD
    covariance_KK = weight_KD @ (within_DD / degrees) @ weight_KD.T
    values_K, vectors_KK = np.linalg.eigh(covariance_KK)
    root_KK = vectors_KK * np.sqrt(np.maximum(values_K, 0))
    found: _Drawn = []
    for label in np.flatnonzero(wanted_K):
        mean_D = sums.xy_KD[label] / sums.counts_K[label]
        count = int(min(max(sums.counts_K[label], 1), _DRAWN))
        noise_NK = dice.standard_normal((count, len(root_KK))) @ root_KK.T
        logits_NK = weight_KD @ mean_D + solved.bias_K + noise_NK
        logits_NK = logits_NK - weight_KD.mean(axis=0) @ mean_D
        logits_NK[:, ~known_K] = logits_NK.min() - 1
        found.append((int(label), logits_NK))
    return found


def _temperature(drawn: _Drawn, classes: int) -> float:
    labels_N = np.concatenate([np.full(len(logits), label) for label, logits in drawn])
    logits_NK = np.concatenate([logits for _, logits in drawn])
    return fit_temperature(logits_NK, Targets.of_labels(labels_N, classes))
