"""``potoo calibrate`` as an operator runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from service.core.serving.calibration import find_calibration, keep_calibration
from service.core.settings import RunSettings
from tests.support.callers.tensors import INFER, images, in_json, refused
from tests.support.models.tiny_model import write_model
from tests.support.processes.environment import clean_environment
from tests.support.servers.server import serve

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def calibrate(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", "calibrate", *map(str, arguments)]
    environment = clean_environment() | settings
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def test_calibration_is_written_and_used_by_the_next_start(colours: Path, tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "deploy/autoscaling.yaml"
    # Any machine meets this objective, and load reaches this short queue.
    result = calibrate(
        *("--models", colours, "--data-dir", data, "--output", output),
        *("--slo-p95-ms", "60000", "--seconds", "0.5"),
        POTOO_INFERENCE__MAX_BATCH_SIZE="1",  # compares numbers of threads alone: 15 s less
    )
    assert result.returncode == 0, result.stderr
    assert "looking for the knee" in result.stderr
    assert "in flight: " in result.stderr
    assert result.stdout.startswith("capacity C = 256 images in flight at the knee")
    document = yaml.safe_load(output.read_text())
    assert document["capacity"]["in_flight"] == 256
    assert document["triggers"]["in_flight"]["target"] == 179
    found = find_calibration(data)
    assert found is not None
    assert found.models["colours"].knee.in_flight == 256
    assert [path.name for path in data.iterdir()] == ["calibration"], "accounts were touched"
    # Only a limit on the queue shows from outside: one that no machine would find.
    kept = found.models["colours"].model_copy(update={"run": RunSettings(queue_capacity=2)})
    keep_calibration(data, found.workers, "colours", kept)
    with serve(tmp_path, models=colours) as live, live.client("infer") as client:
        assert live.data_dir == data
        assert client.post(INFER, json=in_json(images(2))).status_code == 200
        assert refused(client.post(INFER, json=in_json(images(3))))[0] == 400


def test_unservable_model_is_reported(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models")
    (folder / "model.onnx").write_bytes(b"no model")
    result = calibrate("--models", tmp_path / "models", "--data-dir", tmp_path / "data")
    assert result.returncode == 1
    assert "sha256" in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_model_is_reported(colours: Path, tmp_path: Path) -> None:
    result = calibrate("birds", "--models", colours, "--data-dir", tmp_path / "data")
    assert (result.returncode, result.stdout) == (1, "")
    assert "there is no model 'birds'" in result.stderr
