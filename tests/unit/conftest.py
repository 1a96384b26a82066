"""Settings come from the environment too, so tests begin with none."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("POTOO_"):
            monkeypatch.delenv(name)
