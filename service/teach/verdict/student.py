"""Quantiles of Student's t, without SciPy."""

from __future__ import annotations

import math
from statistics import NormalDist


def t_quantile(probability: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution.

    Exact for 1 and 2 degrees of freedom; otherwise by the expansion of Hill (1970, "Algorithm
    396", Communications of the ACM 13), to about four digits from 3 degrees on.

    Args:
        probability: 0..1, both ends excluded.
        degrees: of freedom, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < probability < 1 or degrees < 1:
        message = "a quantile takes a probability between 0 and 1, and at least one degree"
        raise ValueError(message)
    if probability == 0.5:
        return 0.0
    tail = 2 * min(probability, 1 - probability)
    return math.copysign(_two_sided(tail, degrees), probability - 0.5)


def _two_sided(tail: float, degrees: int) -> float:
    """Return the value that is exceeded in magnitude with probability ``tail``."""
    if degrees == 1:
        return 1 / math.tan(tail * math.pi / 2)
    if degrees == 2:
        return math.sqrt(2 / (tail * (2 - tail)) - 2)
    n = float(degrees)
    a = 1 / (n - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * tail) ** (2 / n)
    if y > 0.05 + a:
        x = NormalDist().inv_cdf(tail / 2)
        y = x * x
        if degrees < 5:
            c += 0.3 * (n - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = (1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1
        y = y * (n + 1) / (n + 2) + 1 / ((d * tail) ** (2 / n))
    return math.sqrt(n * y)
