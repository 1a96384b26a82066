"""Format probabilities as percentages, by the same rule as ``service/web/parts/percent.js``."""

from __future__ import annotations

import math


def percent(score: float) -> str:
    """Format a score of 0..1 with one decimal: "97.3%".

    Scores round half up to thousandths, equally in Python and JavaScript: "100.0%" from 0.9995 on;
    scores that would round to zero are "<0.1%".
    """
    thousandths = math.floor(score * 1000 + 0.5)
    if thousandths == 0 and score > 0:
        return "<0.1%"
    return f"{thousandths / 10:.1f}%"
