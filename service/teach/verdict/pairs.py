"""Pairs of classes that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import InseparablePair, Interval
from service.teach.verdict.groups import worth_of
from service.teach.verdict.held_out import HeldOut
from service.teach.verdict.intervals import HEAD_VARIATION, share_interval

CHANCE = 0.5
HOPE = 0.75
"""A pair is listed only if its share is known to be below."""
FEW = 10
"""Judged photos of a class below which nothing is said of it."""


def inseparable(held: HeldOut, names: Sequence[str]) -> tuple[InseparablePair, ...]:
    """List pairs whose photos are assigned to the right one of the two no better than by chance.

    The share is the mean of the two recalls, so that an answer of always the larger class is
    chance. A pair is listed if the 95 % interval of that share includes a half and ends below
    ``HOPE``.
    """
    logits = [
        (held.logits_NK[rows_N], held.groups_N[rows_N])
        for rows_N in (held.judged_N & (held.labels_N == place) for place in range(len(names)))
    ]
    found = []
    for first, second in combinations(range(len(names)), 2):
        own, other = logits[first], logits[second]
        if min(len(own[0]), len(other[0])) < FEW:
            continue
        right_A = own[0][:, first] > own[0][:, second]
        right_B = other[0][:, second] > other[0][:, first]
        if (right_A.mean() + right_B.mean()) / 2 >= HOPE:
            continue  # of 200 classes there are 19,900 pairs, nearly all of which end here
        interval = _interval((right_A, own[1]), (right_B, other[1]))
        if interval.low <= CHANCE and interval.high < HOPE:
            found.append(
                InseparablePair(
                    first=names[first],
                    second=names[second],
                    photos=len(right_A) + len(right_B),
                    right=int(right_A.sum() + right_B.sum()),
                    interval=interval,
                )
            )
    return tuple(sorted(found, key=lambda pair: pair.interval.high))


def _interval(*outcomes: tuple[NDArray[np.bool_], NDArray[np.int_]]) -> Interval:
    """Return the interval of the mean of two shares, each of outcomes and their groups."""
    share = float(np.mean([right_N.mean() for right_N, _ in outcomes]))
    counts = [worth_of(*outcome).effective / HEAD_VARIATION for outcome in outcomes]
    return share_interval(share, 4 / sum(1 / count for count in counts))
