"""ResNet-50 from the onnx package, with a generated manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.support import models
from service.core.engine.onnx_engine import OnnxEngine
from service.core.repository.repository import Repository
from service.core.repository.version_files import read_manifest
from tests.support import repository


def test_resnet_stand_in_loads_and_gives_uniform_scores() -> None:
    with models.assembled(models.RESNET) as folder:
        version = Repository(folder).version(models.RESNET, 1)
        manifest = read_manifest(version)
        engine = OnnxEngine(version / "model.onnx", manifest)
        image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
        scores = engine.run(image)[0]
        engine.close()
    assert len(manifest.labels) == len(scores)
    assert scores == pytest.approx(1 / len(scores), rel=1e-4)


def test_missing_model_is_reported_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "BUNDLED_MODELS", tmp_path)
    monkeypatch.setattr(models, "_RESNET_FILE", "no-such.onnx")
    monkeypatch.setattr(repository, "SHARED", tmp_path)
    assert [models.missing(name) for name in models.ALL] == [
        "it is not in the package",
        "it is not on this machine",
        "the onnx package comes without its test data here",
    ]


@pytest.mark.parametrize("name", [*models.ALL, models.SMALL])
def test_available_model_is_assembled_into_a_repository(name: str) -> None:
    if why := models.missing(name):
        pytest.skip(f"{name}: {why}")
    with models.assembled(name) as folder:
        assert Repository(folder).names() == [name]
