"""The packages that resize images, and which of them can be used here. Imports none of them."""

from __future__ import annotations

from enum import StrEnum
from importlib.util import find_spec

import PIL

from schemas.operator_error import OperatorError

KNOWN_PILLOW = "13"
"""Major version whose structures in memory cykooz-resizer 4 reads. They differ between versions."""


class Resizer(StrEnum):
    """A package that resizes images."""

    CYKOOZ = "cykooz-resizer"
    PILLOW = "pillow"


class ResizerMissing(OperatorError):
    """The resizer is not installed here, or does not fit the installed Pillow."""


def best_resizer() -> Resizer:
    """Return the fastest resizer that can be used here."""
    return Resizer.PILLOW if _why_not_cykooz() else Resizer.CYKOOZ


def check_resizer(resizer: Resizer) -> None:
    """Raise ``ResizerMissing``, with the reason, if the resizer cannot be used here."""
    if resizer is Resizer.CYKOOZ and (reason := _why_not_cykooz()):
        raise ResizerMissing(f"{resizer} cannot be used: {reason}")


def _why_not_cykooz() -> str | None:
    if find_spec("cykooz_resizer") is None:
        return "it is not installed"
    if PIL.__version__.split(".")[0] != KNOWN_PILLOW:
        return f"it reads images of Pillow {KNOWN_PILLOW}, not of {PIL.__version__}"
    return None
