"""Calibration is refused if its servers do not fit into memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.calibrate.calibrate import MODEL_FACTOR, SERVER_BYTES, NotEnoughMemory, require_memory

MODEL_BYTES = 10 * 2**20
NEEDED = 2 * (SERVER_BYTES + MODEL_FACTOR * MODEL_BYTES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "weights.bin").write_bytes(bytes(MODEL_BYTES - 1))
    return tmp_path


def test_two_servers_and_their_models_must_fit(folder: Path) -> None:
    require_memory(folder, NEEDED)
    with pytest.raises(
        NotEnoughMemory, match="takes about 660 MiB of memory, and 659 MiB are left"
    ):
        require_memory(folder, NEEDED - 1)
