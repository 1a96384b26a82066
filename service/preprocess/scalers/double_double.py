"""Arithmetic on unevaluated sums of two float64, about 32 digits, on arrays.

T. J. Dekker, "A floating-point technique for extending the available precision", Numerische
Mathematik 18 (1971); D. E. Knuth, The Art of Computer Programming 2, section 4.2.2 (two_sum).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
_SPLIT = 134217729.0
"""2**27 + 1, which splits the 53 bits of a float64 in two halves."""


class Double(NamedTuple):
    """``high + low``, where ``low`` is at most half a unit in the last place of ``high``."""

    high: Float
    low: Float

    def __add__(self, other: Double) -> Double:  # type: ignore[override]
        high, error = two_sum(self.high, other.high)
        low, rest = two_sum(self.low, other.low)
        high, error = _renormalised(high, error + low)
        return Double(*_renormalised(high, error + rest))

    def __sub__(self, other: Double) -> Double:
        return self + Double(-other.high, -other.low)

    def __mul__(self, other: Double) -> Double:  # type: ignore[override]
        high, error = two_product(self.high, other.high)
        error = error + (self.high * other.low + self.low * other.high)
        return Double(*_renormalised(high, error))

    def __truediv__(self, divisor: Float) -> Double:
        """Divide by exact float64."""
        first = self.high / divisor
        product, error = two_product(first, divisor)
        rest = (self.high - product) - error + self.low
        return Double(*_renormalised(first, rest / divisor))


def exact(numbers: Float) -> Double:
    """Return float64 as doubles."""
    return Double(numbers, np.zeros_like(numbers))


def two_sum(left: Float, right: Float) -> tuple[Float, Float]:
    """Return the rounded sum, and its error exactly."""
    total = left + right
    part = total - left
    return total, (left - (total - part)) + (right - part)


def two_product(left: Float, right: Float) -> tuple[Float, Float]:
    """Return the rounded product, and its error exactly; below 2**996."""
    product = left * right
    left_high, left_low = _halves(left)
    right_high, right_low = _halves(right)
    error = left_high * right_high - product
    error = error + left_high * right_low + left_low * right_high + left_low * right_low
    return product, error


def total(rows: Double) -> Double:
    """Return the sum along the first axis, which has at least one element.

    By halves, so that the error does not grow with the number of rows.
    """
    high, low = rows
    while (count := len(high)) > 1:
        half = count // 2
        first, second = Double(high[:half], low[:half]), Double(high[half:], low[half:])
        odd = second.high[half:], second.low[half:]
        high, low = first + Double(second.high[:half], second.low[:half])
        if count % 2:
            high, low = np.concatenate([high, odd[0]]), np.concatenate([low, odd[1]])
    return Double(high[0], low[0])


def _halves(numbers: Float) -> tuple[Float, Float]:
    spread = numbers * _SPLIT
    high = spread - (spread - numbers)
    return high, numbers - high


def _renormalised(high: Float, low: Float) -> tuple[Float, Float]:
    total = high + low
    return total, low - (total - high)
