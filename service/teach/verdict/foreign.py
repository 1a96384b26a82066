"""How often pictures that show nothing of the classes are answered all the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import Foreign

OWN_REFUSED = 0.05
"""Share of own photos that may be refused as unknown: it sets the distance."""


def distance_threshold(own_N: NDArray[np.float64], refused: float = OWN_REFUSED) -> float | None:
    """Return the distance from which a photo is unknown; nothing without own photos.

    It is the conformal quantile: the next own photo is refused with at most the probability
    ``refused``; with so few photos that no distance keeps that, it is the largest.

    Args:
        own_N: held-out distances of own photos, those that are not finite are left out.
        refused: share, 0..1.
    """
    finite_N = np.sort(own_N[np.isfinite(own_N)])
    if not len(finite_N):
        return None
    place = int(np.ceil((len(finite_N) + 1) * (1 - refused))) - 1
    return float(np.nextafter(finite_N[min(place, len(finite_N) - 1)], np.inf))


def judge_foreign(
    foreign_M: NDArray[np.float64], own_N: NDArray[np.float64], distance: float
) -> Foreign:
    """Count foreign photos below, and own ones at or above a distance."""
    known_M = foreign_M < distance  # a distance that is no number is no answer
    own = own_N[np.isfinite(own_N)]
    return Foreign(
        photos=len(foreign_M),
        distance=distance,
        answered=float(known_M.mean()) if len(foreign_M) else 0.0,
        own_refused=float((own >= distance).mean()) if len(own) else None,
    )
