"""The environment of programs that tests start."""

from __future__ import annotations

import os


def clean_environment(**settings: str) -> dict[str, str]:
    """Returns this process's variables without Potoo's settings, plus ``settings``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POTOO_")}
    return kept | settings
