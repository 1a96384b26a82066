"""The order in which photos are worth a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def most_useful(
    features_ND: NDArray[np.floating],
    logits_NK: NDArray[np.float64],
    labelled_N: NDArray[np.bool_],
    count: int,
) -> NDArray[np.int_]:
    """Return photos without a label in the order in which to label them.

    The smallest margin between the two best logits comes first.

    Args:
        features_ND: of N photos.
        logits_NK: of the present head; K may be 0 if there is none yet.
        labelled_N: whether each photo has a label.
        count: photos that are returned at most.
    """
    open_U = np.flatnonzero(~labelled_N)
    if logits_NK.shape[1] < 2:
        return open_U[:count]
    top_U2 = np.sort(logits_NK[open_U], axis=1)[:, -2:]
    order = np.argsort(top_U2[:, 1] - top_U2[:, 0], kind="stable")
    return open_U[order[:count]]
