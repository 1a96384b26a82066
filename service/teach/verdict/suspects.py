"""Photos whose label the other photos contradict."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import Suspect
from service.teach.verdict.held_out import HeldOut, HeldOutLabels

SHARE = 0.1
"""Of the photos: suspects that are listed at most..."""
LEAST = 20
"""...but so many in any case, if there are any."""


def contradiction(held: HeldOut) -> NDArray[np.float64]:
    """Return how strongly the others contradict each label, 0..1, [N]; 0 if not judged.

    It is 1 - the held-out score of the label. Of 5 % flipped labels that found more in its first
    tenth than margins, scores relative to those of the class ("confident learning", Northcutt et
    al. 2021), neighbours' votes or refits without the first suspects: see ``benchmarks.teach``.
    """
    if not held.scores_NK.size:
        return np.zeros(len(held.labels_N))
    own_N = held.scores_NK[np.arange(len(held.labels_N)), held.labels_N]
    return np.where(held.judged_N, 1 - own_N, 0.0)


def label_contradiction(held: HeldOutLabels) -> NDArray[np.float64]:
    """Return how strongly the others contradict each label of each photo, 0..1, [N, K]."""
    scores_NK = held.scores_NK
    wrong_NK = np.where(held.present_NK, 1 - scores_NK, scores_NK)
    return np.where(held.judged_NK, wrong_NK, 0.0)


def suspects(held: HeldOut, photo_ids: Sequence[str], names: Sequence[str]) -> tuple[Suspect, ...]:
    """List photos that are answered with another class, the most certain first."""
    score_N = contradiction(held)
    return tuple(
        Suspect(
            photo=photo_ids[place],
            label=names[held.labels_N[place]],
            proposed=names[held.answers_N[place]],
            score=float(score_N[place]),
        )
        for place in _listed(score_N, held.judged_N & ~held.right_N)
    )


def label_suspects(
    held: HeldOutLabels, photo_ids: Sequence[str], names: Sequence[str]
) -> tuple[Suspect, ...]:
    """List photos with a label that is contradicted, the most certain first."""
    scores_NK = label_contradiction(held)
    if not scores_NK.size:
        return ()
    worst_N, score_N = scores_NK.argmax(axis=1), scores_NK.max(axis=1)
    found = []
    for place in _listed(score_N, score_N > 0.5):
        name = names[worst_N[place]]
        present = bool(held.present_NK[place, worst_N[place]])
        label, proposed = (name, f"not {name}") if present else (f"not {name}", name)
        found.append(
            Suspect(
                photo=photo_ids[place],
                label=label,
                proposed=proposed,
                score=float(score_N[place]),
            )
        )
    return tuple(found)


def _listed(score_N: NDArray[np.float64], wrong_N: NDArray[np.bool_]) -> list[int]:
    most = max(LEAST, round(SHARE * len(score_N)))
    order_N = np.argsort(-score_N, kind="stable")
    return [int(place) for place in order_N[wrong_N[order_N]][:most]]
