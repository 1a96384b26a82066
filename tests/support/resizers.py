"""The resizers that can be used on this machine."""

from __future__ import annotations

import pytest

from service.core.imaging.resizers import Resizer, best_resizer

RESIZERS = tuple(dict.fromkeys((best_resizer(), Resizer.PILLOW)))
needs_cykooz = pytest.mark.skipif(
    Resizer.CYKOOZ not in RESIZERS, reason="cykooz-resizer has no wheel for this machine"
)
