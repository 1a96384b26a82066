"""Compares counts of answers: population stability index and Kolmogorov-Smirnov.

The index of shares p and q of B bins is the sum of (p - q) ln(p / q): 0 if they are alike; by
custom above 0.1 a shift, above 0.25 a large one. Of n and m answers of one distribution it is
spread as (1/n + 1/m) times chi-square with B - 1 degrees of freedom (Yurdakul 2018, "Statistical
properties of population stability index"), so small samples exceed any fixed bound by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from schemas.drift import EDGES, DriftReference, DriftVerdict, Quantity, QuantityDrift

SHIFTING, DRIFTED = 0.1, 0.25
PRIOR = 0.5
"""Added to each bin, so that an empty one is not infinitely far (Jeffreys)."""
CHANCE_Z = 3.0902
"""Standard deviations that one normal number in a thousand exceeds."""


def population_stability_index(now: Sequence[int], reference: Sequence[int]) -> float:
    """Return the index of two histograms with the same bins, at least 0."""
    bins = len(reference)
    of_now, of_reference = sum(now) + PRIOR * bins, sum(reference) + PRIOR * bins
    total = 0.0
    for one, other in zip(now, reference, strict=True):
        p, q = (one + PRIOR) / of_now, (other + PRIOR) / of_reference
        total += (p - q) * math.log(p / q)
    return total


def index_by_chance(answers: int, of_reference: int, bins: int) -> float:
    """Return the index that one in a thousand pairs of samples exceeds by chance.

    The quantile of chi-square is that of Wilson and Hilferty (1931), within 3 % of the exact one.
    """
    degrees = bins - 1
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + CHANCE_Z * math.sqrt(spread)) ** 3
    return (1 / answers + 1 / of_reference) * quantile


def kolmogorov_smirnov(now: Sequence[int], reference: Sequence[int]) -> float:
    """Return the largest difference of the cumulative shares at the edges of the bins, 0..1."""
    of_now, of_reference = sum(now), sum(reference)
    if not of_now or not of_reference:
        return 0.0
    largest = below_now = below_reference = 0.0
    for one, other in zip(now, reference, strict=True):
        below_now += one / of_now
        below_reference += other / of_reference
        largest = max(largest, abs(below_now - below_reference))
    return min(largest, 1.0)


def compare(
    quantity: Quantity, now: Sequence[int], reference: DriftReference, *, least: int
) -> QuantityDrift:
    """Compare the counts of a quantity with those of the reference.

    Args:
        least: answers from which on a verdict is given.
    """
    other = reference.counts[quantity]
    answers, psi, chance, ks = sum(now), None, None, None
    verdict = DriftVerdict.TOO_FEW
    if answers >= least:
        psi = population_stability_index(now, other)
        chance = index_by_chance(answers, sum(other), len(other))
        ks = kolmogorov_smirnov(now, other)
        verdict = DriftVerdict.STABLE
        if psi > max(SHIFTING, chance):
            verdict = DriftVerdict.DRIFTED if psi > max(DRIFTED, chance) else DriftVerdict.SHIFTING
    return QuantityDrift(
        quantity=quantity,
        verdict=verdict,
        psi=psi,
        chance_psi=chance,
        ks=ks,
        edges=EDGES[quantity],
        now=tuple(now),
        reference=other,
    )


def worst(found: Sequence[QuantityDrift]) -> DriftVerdict:
    """Return the worst verdict."""
    order = list(DriftVerdict)
    return max((one.verdict for one in found), key=order.index, default=DriftVerdict.TOO_FEW)
