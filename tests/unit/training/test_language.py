"""The language recipe on a drawn guide: paragraphs, splits, network, graph, and its version."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from schemas.models import ModelManifest
from tests.support.models.calls import ANYONE
from tests.support.models.tiny_model import served
from training.calibration import softmax
from training.recipes.language import __main__ as training
from training.recipes.language import network, recipe, tokens
from training.recipes.language.data import folds_of, normal, read
from training.recipes.language.evaluate import Identifier, parts_of
from training.recipes.language.export import export
from training.recipes.language.network import Network
from training.recipes.language.tokens import bags, padded

PAGES, EACH = 15, 6
SHARED = "This paragraph of many words is not translated."


def drawn_text(letters: str, dice: np.random.Generator) -> str:
    words = ["".join(dice.choice([*letters], 5)) for _ in range(12)]
    return " ".join(words)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guide whose languages have letters of their own."""
    folder, dice = tmp_path_factory.mktemp("guide"), np.random.default_rng(0)
    for number, language in enumerate(recipe.LANGUAGES):
        letters = "".join(chr(0x4E00 + 12 * number + place) for place in range(12))
        (folder / language).mkdir()
        for page in range(PAGES):
            texts = [drawn_text(letters, dice) for _ in range(EACH)]
            body = "".join(f"<p>\n{text[:30]}<b>{text[30:]}</b></p>" for text in [*texts, texts[0]])
            (folder / language / f"ch{page:02}.html").write_text(
                f"<html><h1>A heading &amp; more</h1><p>{SHARED}</p><p>12 34</p>{body}</html>"
            )
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer tokens and epochs."""
    monkeypatch.setattr(recipe, "VOCABULARY", 600)
    monkeypatch.setattr(recipe, "LEAST_FREQUENCY", 2)


def test_paragraphs_are_whole_once_and_of_one_language(guide: Path) -> None:
    found = read(guide)
    assert len(found) == len(set(found.texts)) == PAGES * EACH * len(recipe.LABELS)
    assert SHARED not in found.texts
    assert np.bincount(found.labels_N).tolist() == [PAGES * EACH] * len(recipe.LABELS)
    with pytest.raises(ValueError, match="has no pages of the guide"):
        read(guide / "de")


def test_pages_are_never_divided(guide: Path) -> None:
    paragraphs = read(guide)
    assert np.sum(folds_of(paragraphs), 0).tolist() == [1] * len(paragraphs)
    tested, checked, trained = (
        set(paragraphs.where(part_N).pages_N.tolist()) for part_N in parts_of(paragraphs)
    )
    assert tested | checked | trained == set(range(PAGES))
    assert len(tested) + len(checked) + len(trained) == PAGES


def test_beginnings_end_with_a_word_where_there_are_words(guide: Path) -> None:
    short = read(guide).short(25)
    assert max(map(len, short.texts)) <= 25
    assert all(len(text.split(" ")[-1]) == 5 for text in short.texts)


def test_graph_answers_as_the_network_whatever_the_padding(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    found = Network(
        *(
            dice.normal(0, 1, shape).astype(np.float32)
            for shape in ((50, 6), (6,), (6, len(recipe.LABELS)), (len(recipe.LABELS),))
        )
    )
    export(found, tmp_path / "model.onnx")
    texts = [dice.integers(0, 50, length) for length in (1, 7, 3)]
    tokens.train(["ab ab"], tmp_path / "tokenizer.json")
    answers = Identifier(tmp_path).run(*padded(texts))
    assert answers == pytest.approx(found.logits(bags(texts, 50)), abs=1e-5)


def test_gradients_are_those_of_differences() -> None:
    dice = np.random.default_rng(1)
    found = Network(
        *(dice.normal(0, 1, shape).astype(np.float64) for shape in ((9, 4), (4,), (4, 3), (3,)))  # type: ignore[arg-type]
    )
    rows = bags([np.array([1, 2, 2]), np.array([5])], 9)
    targets, weights = np.array([[1, 0, 0], [0.2, 0.3, 0.5]]), np.array([2.0, 1.0])

    def loss() -> float:
        shares = softmax(found.logits(rows))
        return float((-(targets * np.log(shares)).sum(1) * weights / weights.sum()).sum())

    gradients = network._gradients(found, rows, targets, weights)
    for weight, gradient in zip(found.weights, gradients, strict=True):
        place = (1,) * weight.ndim
        kept, step = weight[place], 1e-4
        weight[place] = kept + step
        above = loss()
        weight[place] = kept - step
        below = loss()
        weight[place] = kept
        assert (above - below) / (2 * step) == pytest.approx(gradient[place], abs=1e-5)


@pytest.mark.process  # the trial of its tokenizer
@pytest.mark.usefixtures("quick")
@pytest.mark.anyio
async def test_recipe_writes_a_version_that_serves(
    guide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models/language/1"
    options = ["--data", guide, "--out", folder, "--results", tmp_path / "results"]
    monkeypatch.setattr(sys, "argv", ["language", *map(str, options)])
    training.main()
    printed = capsys.readouterr().out
    report = json.loads(printed[printed.index("{") :])
    assert report == json.loads((tmp_path / "results/run.json").read_text())
    assert (report["paragraphs"], report["pages"]) == (3 * EACH * len(recipe.LABELS), 3)
    assert report["lengths"][0]["right"] > 0.95
    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_bytes())
    texts = read(guide).texts[:3]
    model = Identifier(folder)
    shares = softmax(model.logits(texts), manifest.temperature)
    async with served(folder) as one:
        for text, expected in zip(texts, shares, strict=True):
            answer = await one.classify_text(text, 19, time.monotonic() + 30, ANYONE)
            scores = {found.index: found.score for found in answer.predictions}
            assert scores == pytest.approx(dict(enumerate(expected)), abs=1e-5)
    assert normal("Ａb") == "ab"
