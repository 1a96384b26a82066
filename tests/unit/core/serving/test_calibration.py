"""Stored calibrations apply only to the same machine and model."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.core.repository.version_files import read_manifest
from service.core.serving import calibration
from service.core.serving.calibration import (
    Calibrated,
    Knee,
    Machine,
    calibration_file,
    find_calibration,
    keep_calibration,
    this_machine,
)
from service.core.settings import RunSettings
from tests.support.models.tiny_model import write_model

KNEE = Knee(in_flight=10, images_per_second=100, p95_ms=90)


def found_for(folder: Path) -> Calibrated:
    manifest = read_manifest(folder)
    return Calibrated(
        version=manifest.version,
        sha256=manifest.sha256,
        objective_p95_ms=100,
        knee=KNEE,
        run=RunSettings(max_batch_size=4),
    )


def test_saved_calibration_is_found_again(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models")
    name = folder.parent.name
    assert find_calibration(tmp_path) is None
    keep_calibration(tmp_path, 3, name, found_for(folder))
    found = find_calibration(tmp_path)
    assert found is not None
    assert found.workers == 3
    run = found.run_settings(folder)
    assert run is not None
    assert run.model_fields_set == {"max_batch_size"}


def test_calibrations_of_several_models_are_kept(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models")
    keep_calibration(tmp_path, 2, "one", found_for(folder))
    keep_calibration(tmp_path, 3, "two", found_for(folder))
    found = find_calibration(tmp_path)
    assert found is not None
    assert set(found.models) == {"one", "two"}
    assert found.workers == 3
    assert list(calibration_file(tmp_path).parent.iterdir()) == [calibration_file(tmp_path)]


def test_calibration_of_another_model_file_is_ignored(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "models")
    other = found_for(folder).model_copy(update={"sha256": "0" * 64})
    keep_calibration(tmp_path, 2, folder.parent.name, other)
    found = find_calibration(tmp_path)
    assert found is not None
    assert found.run_settings(folder) is None
    assert found.run_settings(tmp_path / "no-such" / "1") is None


def test_calibration_of_another_machine_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_calibration(tmp_path, 2, "m", found_for(write_model(tmp_path / "models")))
    other = Machine(processor="another", cores=64, onnxruntime="1")
    monkeypatch.setattr(calibration, "this_machine", lambda: other)
    assert find_calibration(tmp_path) is None


def test_damaged_calibration_file_is_ignored_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = calibration_file(tmp_path)
    path.parent.mkdir()
    path.write_text("{")
    assert find_calibration(tmp_path) is None
    seen = capsys.readouterr()
    assert "run 'potoo calibrate' again" in seen.out + seen.err


def test_machine_fingerprint_depends_on_cores_runtime_and_processor() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    prints = {
        machine.fingerprint,
        machine.model_copy(update={"cores": machine.cores + 1}).fingerprint,
        machine.model_copy(update={"onnxruntime": "0"}).fingerprint,
        machine.model_copy(update={"processor": "another"}).fingerprint,
    }
    assert len(prints) == 4
