"""The environment of programs that tests start."""

from __future__ import annotations

import os

SET_BY_POTOO = "ORT_DISABLE_TELEMETRY"


def clean_environment(**settings: str) -> dict[str, str]:
    """Returns this process's variables without those of Potoo, plus ``settings``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("POTOO_") and name != SET_BY_POTOO
    }
    return kept | settings
