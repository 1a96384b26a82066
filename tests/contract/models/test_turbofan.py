"""The model ``turbofan`` has the properties stated in its card."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from observability.metrics.metrics import Metrics
from schemas.models import ModelManifest
from service.core.repository.repository import Repository
from service.modeltools.sources.built_in import BUNDLED_MODELS, SEEDS, put
from tests.support.models.tiny_model import served
from tests.support.repository import SHARED
from training.recipes.turbofan import golden
from training.recipes.turbofan.evaluate import Report, channels_in, evaluate

FOLDER = BUNDLED_MODELS / "turbofan/1"
DATA = SHARED / "sensors/cmapss"
MAX_BYTES = 200_000


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return ModelManifest.model_validate_json((FOLDER / "manifest.json").read_bytes())


@pytest.fixture(scope="module")
def report() -> Report:
    if not (DATA / "test.npz").exists():
        pytest.skip("the data set lies beside the checkout on some machines only")
    return evaluate(DATA, FOLDER)


def test_shipped_model_is_above_its_target_and_both_simple_rules(report: Report) -> None:
    assert report.right.share >= 0.70
    assert report.right.share > report.logistic.share
    assert report.right.share > report.logistic_trends.share
    assert report.right.share > report.majority.share
    assert report.above_logistic.low > 0, "not by the choice of engines"
    assert report.expected_calibration_error <= 0.03
    assert report.model_bytes <= MAX_BYTES


def test_manifest_and_card_state_the_measured_figures(
    report: Report, manifest: ModelManifest
) -> None:
    (accuracy,) = manifest.accuracy
    assert accuracy.photos == report.windows
    assert accuracy.top1 == pytest.approx(report.right.share, abs=0.002)
    text = (FOLDER / "README.md").read_text()
    for share in (accuracy.top1, report.logistic.share, report.majority.share):
        assert f"{share:.1%} (" in text
        assert share == accuracy.top1 or f"{share:.1%}" in accuracy.notes


def test_golden_windows_are_those_that_the_recipe_draws(manifest: ModelManifest) -> None:
    drawn = golden.windows(channels_in(manifest))
    assert {sample.file for sample in manifest.golden} == set(drawn)
    for name, samples_LC in drawn.items():
        shipped = np.load(io.BytesIO((FOLDER / "golden" / name).read_bytes()))
        assert shipped == pytest.approx(samples_LC, rel=1e-6)


@pytest.mark.anyio
async def test_shipped_files_pass_the_checks_of_the_server() -> None:
    async with served(FOLDER, metrics=Metrics()) as model:
        assert model.labels == ("healthy", "degrading", "critical")
        assert await model.canary(30)


def test_model_is_built_on_request_and_never_by_itself(tmp_path: Path) -> None:
    assert "turbofan" not in SEEDS
    folder = put("turbofan", tmp_path, lambda _: None, lambda _: None)
    assert folder == tmp_path / "turbofan/1"
    assert (folder / "model.onnx").read_bytes() == (FOLDER / "model.onnx").read_bytes()
    assert Repository(tmp_path).names() == ["turbofan"]
