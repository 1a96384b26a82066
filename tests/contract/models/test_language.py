"""The model ``language`` has the properties stated in its card."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from observability.metrics.metrics import Metrics
from schemas.manifest.text import TextSpec
from schemas.models import ModelManifest
from service.core.repository.repository import Repository
from service.modeltools.sources import built_in
from service.modeltools.sources.built_in import BUNDLED_MODELS, SEEDS, ExtraMissing, put
from tests.support.models.tiny_model import served
from training.calibration import softmax
from training.recipes.language import golden, recipe
from training.recipes.language.data import normal
from training.recipes.language.evaluate import Identifier

FOLDER = BUNDLED_MODELS / "language/1"
MAX_BYTES = 2_500_000


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return ModelManifest.model_validate_json((FOLDER / "manifest.json").read_bytes())


@pytest.fixture(scope="module")
def model() -> Identifier:
    return Identifier(FOLDER)


def test_manifest_and_card_state_the_measured_figures(manifest: ModelManifest) -> None:
    (accuracy,) = manifest.accuracy
    assert accuracy.top1 >= 0.95
    text = (FOLDER / "README.md").read_text()
    assert f"| whole | {accuracy.top1:.1%} (" in text
    assert "GPL-2" in text
    assert "GPL-2" in accuracy.dataset
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= MAX_BYTES


def test_shipped_texts_are_those_that_the_recipe_writes(manifest: ModelManifest) -> None:
    assert {sample.file for sample in manifest.golden} == set(golden.TEXTS)
    for name, text in golden.TEXTS.items():
        assert (FOLDER / "golden" / name).read_text(encoding="utf-8") == text


def test_recipe_prepares_texts_as_the_manifest_says(manifest: ModelManifest) -> None:
    assert isinstance(manifest.input, TextSpec)
    assert (manifest.input.form, manifest.input.lower_case) == (recipe.FORM, True)
    assert manifest.input.max_tokens == recipe.MAX_TOKENS
    assert normal("ＤＥ ﬁ Straße") == "de fi straße"


def test_sentences_of_unknown_languages_are_mostly_not_answered(
    model: Identifier, manifest: ModelManifest
) -> None:
    best = softmax(model.logits(golden.FOREIGN_TESTS), manifest.temperature).max(1)
    abstained = int((best < manifest.abstain_below).sum())
    total = len(golden.FOREIGN_TESTS)
    assert (
        f"Of {total} sentences in other languages, one each, the model abstains from {abstained}"
        in (FOLDER / "README.md").read_text()
    )
    assert abstained >= total // 2


def test_padding_changes_no_answer(model: Identifier) -> None:
    ids, mask = np.array([[5, 9, 300, 17]]), np.ones((1, 4), np.int64)
    padded, covered = np.full((1, 9), 41), np.zeros((1, 9), np.int64)
    padded[:, :4], covered[:, :4] = ids, mask
    assert model.run(padded, covered) == pytest.approx(model.run(ids, mask), abs=1e-5)


@pytest.mark.process  # the trial of its tokenizer
@pytest.mark.anyio
async def test_shipped_files_pass_the_checks_of_the_server() -> None:
    async with served(FOLDER, metrics=Metrics()) as one:
        assert one.labels == recipe.LABELS
        assert await one.canary(30)


def test_model_is_built_on_request_and_needs_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "language" not in SEEDS
    folder = put("language", tmp_path, lambda _: None, lambda _: None)
    assert (folder / "tokenizer.json").read_bytes() == (FOLDER / "tokenizer.json").read_bytes()
    assert Repository(tmp_path).names() == ["language"]
    shutil.rmtree(tmp_path / "language")
    monkeypatch.setattr(built_in, "find_spec", lambda _: None)
    with pytest.raises(ExtraMissing, match=r"pip install 'potoo\[text\]'"):
        put("language", tmp_path, lambda _: None, lambda _: None)
