"""Pairs of classes that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from schemas.teach.verdict import InseparablePair
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
    found = []
    for first, second in combinations(range(len(names)), 2):
        pair = _pair(held, first, second, names)
        if pair is not None and pair.interval.low <= CHANCE and pair.interval.high < HOPE:
            found.append(pair)
    return tuple(sorted(found, key=lambda pair: pair.interval.high))


def _pair(held: HeldOut, first: int, second: int, names: Sequence[str]) -> InseparablePair | None:
    shares, counts, right, photos = [], [], 0, 0
    for own, other in ((first, second), (second, first)):
        rows_N = held.judged_N & (held.labels_N == own)
        if rows_N.sum() < FEW:
            return None
        right_N = held.logits_NK[rows_N, own] > held.logits_NK[rows_N, other]
        shares.append(float(right_N.mean()))
        counts.append(worth_of(right_N, held.groups_N[rows_N]).effective / HEAD_VARIATION)
        right += int(right_N.sum())
        photos += len(right_N)
    count = 4 / float(np.sum(1 / np.array(counts)))  # of the mean of two shares
    return InseparablePair(
        first=names[first],
        second=names[second],
        photos=photos,
        right=right,
        interval=share_interval(float(np.mean(shares)), count),
    )
