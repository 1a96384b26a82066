"""How often pictures that show nothing of the classes are answered all the same."""

from __future__ import annotations

from schemas.teach.verdict import Foreign
from service.teach.heads.arrays import Features
from service.teach.heads.distance import Distance


def judge_foreign(distance: Distance, foreign_MD: Features) -> Foreign | None:
    """Count foreign photos that are no further than the threshold; nothing without photos.

    Args:
        distance: of the photos shown, with its threshold.
        foreign_MD: features [M, D] of photos that show nothing of the classes.
    """
    if not len(foreign_MD) or not distance.threshold < float("inf"):
        return None
    answered_M = distance(foreign_MD) <= distance.threshold  # NaN is no answer
    return Foreign(
        photos=len(foreign_MD), distance=distance.threshold, answered=float(answered_M.mean())
    )
