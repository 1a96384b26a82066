"""The temperature: a number by which logits are divided, so that scores are shares (Guo 2017)."""

from __future__ import annotations

import numpy as np

from service.teach.heads.arrays import Numbers
from service.teach.heads.targets import Targets

LEAST, MOST = 0.02, 50.0
_PRIOR = 4.0
"""Photos worth of doubt: of few photos that are all right, the best temperature would be 0."""
_GRID = np.geomspace(LEAST, MOST, 200)


def fit_temperature(held_out_NK: Numbers, targets: Targets) -> float:
    """Return the temperature with the least log loss on held-out logits.

    A few photos with the wrong label are added in proportion, so that scores stay below 1.
    """
    photos = len(held_out_NK)
    if not photos:
        return 1.0
    losses = [_loss(held_out_NK / temperature, targets, photos) for temperature in _GRID]
    return float(_GRID[int(np.argmin(losses))])


def _loss(logits_NK: Numbers, targets: Targets, photos: int) -> float:
    doubt = _PRIOR / (photos + _PRIOR) / 4
    if targets.kind == "sigmoid":
        wanted_NK = targets.present_NK * (1 - 2 * doubt) + doubt
        losses_NK = np.logaddexp(0, logits_NK) - wanted_NK * logits_NK
        return float(losses_NK[targets.known_NK].mean())
    classes = logits_NK.shape[1]
    wanted_NK = targets.present_NK * (1 - doubt * classes / max(classes - 1, 1))
    wanted_NK = wanted_NK + doubt / max(classes - 1, 1)
    largest_N1 = logits_NK.max(axis=1, keepdims=True)
    total_N1 = largest_N1 + np.log(np.exp(logits_NK - largest_N1).sum(axis=1, keepdims=True))
    return float(np.sum(wanted_NK * (total_N1 - logits_NK), axis=1).mean())
