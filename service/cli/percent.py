"""A probability as people read it. The page has the same rule in ``service/web/percent.js``."""

from __future__ import annotations

import math


def percent(score: float) -> str:
    """A score of 0..1 with one decimal: "97.3%".

    A score rounds half up to whole thousandths, which both languages do alike: "100.0%" begins at
    0.9995, and what would round to nothing is "<0.1%".
    """
    thousandths = math.floor(score * 1000 + 0.5)
    if thousandths == 0 and score > 0:
        return "<0.1%"
    return f"{thousandths / 10:.1f}%"
