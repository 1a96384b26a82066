"""``potoo models`` and others with a model that takes windows of samples: by name, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.models.pictures import RED, plain
from tests.support.sensors.tiny_series import (
    LABELS,
    loudest_graph,
    window,
    write_series_model,
)
from tests.unit.cli.conftest import Potoo, failed

TAKES = "The model takes windows of 8 samples of 3 channels, not images."


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_series_model(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.png").write_bytes(plain(RED))
    return tmp_path / "photos"


def test_model_is_listed_shown_and_verified(potoo: Potoo, models: Path) -> None:
    listed = potoo("models", "list", "--models", models).stdout
    assert listed.startswith("loudest\t1\tok\tdefault-model,default,uncalibrated\t-\tWhich")
    shown = json.loads(potoo("models", "show", "loudest", "--models", models).stdout)
    assert (shown["input"]["kind"], shown["input"]["length"]) == ("series", 8)
    verified = potoo("models", "verify", "--models", models)
    assert verified.exit_code == 0, verified.output
    assert verified.stdout.startswith("loudest\t1\tok")


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "optimise"])
def test_tools_that_need_photos_refuse_the_model(
    potoo: Potoo, models: Path, photos: Path, command: str
) -> None:
    failed(potoo("models", command, "loudest", "--images", photos, "--models", models), TAKES)


def test_capacity_cannot_be_calibrated_with_it(potoo: Potoo, models: Path, tmp_path: Path) -> None:
    result = potoo("calibrate", "loudest", "--models", models, "--data-dir", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == f"potoo: {TAKES}"


def test_photos_are_refused(potoo: Potoo, models: Path, photos: Path) -> None:
    photo = photos / "first/a.png"
    result = potoo("classify", photo, "--json", "--models", models)
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "file": str(photo),
        "problem": TAKES,
        "code": "unsupported",
    }


def test_graph_of_three_axes_is_not_added_as_a_model_of_images(
    potoo: Potoo, tmp_path: Path
) -> None:
    (tmp_path / "some.onnx").write_bytes(loudest_graph().SerializeToString())
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    result = potoo(
        *("models", "add", tmp_path / "some.onnx", "--name", "mine", "--like", "0-1"),
        *("--labels", tmp_path / "labels.txt", "--models", tmp_path / "new"),
    )
    failed(result, "which may be windows of samples: write a manifest with an input of series")


def test_golden_window_is_verified(potoo: Potoo, tmp_path: Path) -> None:
    golden = [{"file": "noise.npy", "predictions": [{"index": 0, "score": 0.5}]}]
    folder = write_series_model(tmp_path / "models", golden=golden)
    (folder / "golden").mkdir()
    np.save(folder / "golden/noise.npy", window())
    result = potoo("models", "verify", "--models", tmp_path / "models")
    assert result.exit_code == 1
    assert "golden[0]: noise.npy: class 0 scores 0.9880, not 0.5000" in result.output
