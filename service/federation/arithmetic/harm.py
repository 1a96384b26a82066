"""Names the site that harms: the one without which heads answer other sites' photos better.

A site is judged by others that it was not fitted to: for each judge, the head of all sites but the
judge is compared with that of all but the judge and the site, by the squared error on the judge's
sums. The median over judges is robust against a judge that is at fault itself. A class counts only
where the judge has it, and both heads know it beside another one. All classes count alike: a site
that has other shares of them than the others is not at fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.federation import SiteHarm
from service.federation.arithmetic.solving import solve_fast, squared_errors
from service.teach.heads.arrays import Numbers
from service.teach.heads.sums import Sums

LEAST_CHANGE = 0.02
"""A site that makes the others worse by less than this share is not named."""
_DEVIATIONS = 2.0
_MAD_TO_SIGMA = 1.4826
_MOST_JUDGES = 12
DIRECTIONS = 256
"""Main directions of the features that heads of comparisons read: enough to compare, and quick."""


def total(sums: Sequence[Sums]) -> Sums:
    """Return the sums of at least one site together."""
    whole = sums[0]
    for one in sums[1:]:
        whole = whole + one
    return whole


def main_directions(whole: Sums) -> Numbers | None:
    """Return the directions of the most variance, [D, R]; None: there are no more than R."""
    if len(whole.x_D) <= DIRECTIONS:
        return None
    mean_D = whole.x_D / whole.photos
    _, vectors_DD = np.linalg.eigh(whole.xx_DD - whole.photos * np.outer(mean_D, mean_D))
    return vectors_DD[:, -DIRECTIONS:]


def harm(sites: Mapping[str, Sums], strength: float) -> list[SiteHarm]:
    """Return what each site does to the answers for the others, by name.

    Args:
        sites: sums with the same classes, along ``main_directions``.
        strength: of the ridge.
    """
    changes = {name: _change(name, sites, strength) for name in sorted(sites)}
    known = np.array([one for one in changes.values() if one is not None])
    bound = LEAST_CHANGE
    if len(known) > 2:
        middle = float(np.median(known))
        spread = _MAD_TO_SIGMA * float(np.median(np.abs(known - middle)))
        bound = max(LEAST_CHANGE, middle + _DEVIATIONS * spread)
    return [
        SiteHarm(site=name, change=change, is_harmful=change is not None and change > bound)
        for name, change in changes.items()
    ]


def _change(name: str, sites: Mapping[str, Sums], strength: float) -> float | None:
    """Return the median change of error from leaving a site in; None if nothing can judge it."""
    judges = [judge for judge in sorted(sites) if judge != name]
    found = []
    for judge in judges[:_MOST_JUDGES]:
        change = _judged(name, judge, sites, strength)
        if change is not None:
            found.append(change)
    return float(np.median(found)) if found else None


def _judged(name: str, judge: str, sites: Mapping[str, Sums], strength: float) -> float | None:
    rest = [one for other, one in sites.items() if other not in {name, judge}]
    if not rest:
        return None
    without = total(rest)
    known_K = without.counts_K > 0
    compared_K = known_K & (sites[judge].counts_K > 0)
    if np.count_nonzero(known_K) < 2 or not compared_K.any():
        return None
    asked = balanced(sites[judge], compared_K)
    before = solve_fast(balanced(without, known_K), strength)
    after = solve_fast(balanced(without + sites[name], known_K), strength)
    least = float(squared_errors(before, asked).sum())
    return (float(squared_errors(after, asked).sum()) - least) / max(least, 1e-12)


def balanced(sums: Sums, wanted_K: NDArray[np.bool_]) -> Sums:
    """Return the sums of as many photos, the same number of each wanted class.

    They follow from the class means and the covariance within classes. Each wanted class has
    photos.
    """
    means_KD = sums.xy_KD / np.maximum(sums.counts_K, 1)[:, np.newaxis]
    labelled = float(sums.counts_K.sum())
    within_DD = sums.xx_DD - (means_KD.T * sums.counts_K) @ means_KD
    each = labelled / int(wanted_K.sum())
    counts_K = np.where(wanted_K, each, 0.0)
    xy_KD = means_KD * counts_K[:, np.newaxis]
    degrees = max(labelled - int(np.count_nonzero(sums.counts_K)), 1.0)
    xx_DD = within_DD * (labelled / degrees) + xy_KD.T @ means_KD
    return Sums(labelled, counts_K, xy_KD.sum(axis=0), xx_DD, xy_KD)
