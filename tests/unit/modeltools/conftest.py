"""Fixtures of the model tools' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.models.tiny_model import LABELS


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(LABELS) + "\n")
    return file
