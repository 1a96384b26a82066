"""The turbofan recipe on drawn engines: splits, fit, graph, and the version that it writes."""

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
from training.recipes.turbofan import __main__ as training
from training.recipes.turbofan import recipe
from training.recipes.turbofan.data import Windows, channels_of, folds_of, read
from training.recipes.turbofan.evaluate import channels_in, open_session, run
from training.recipes.turbofan.export import export
from training.recipes.turbofan.network import features, fit

STILL = 5
"""A channel that never moves."""


def drawn(engines: int, seed: int) -> Windows:
    """Windows whose class is the level of channel 1; engines have four of them each."""
    dice = np.random.default_rng(seed)
    labels_N = np.arange(4 * engines) % 3
    shape = (len(labels_N), recipe.LENGTH, recipe.CHANNELS)
    samples = dice.normal(100, 2, shape).astype(np.float32)
    samples[:, :, 1] += 3 * labels_N[:, np.newaxis]
    samples[:, :, STILL] = 518.67
    return Windows(samples, labels_N, np.repeat(np.arange(engines), 4))


def stored(folder: Path, windows: Windows, name: str) -> None:
    np.savez(
        folder / name,
        windows=windows.samples_NLC,
        label=windows.labels_N,
        engine=windows.engines_N,
        columns=np.array([f"s{number}" for number in range(recipe.CHANNELS)]),
        names=np.array(recipe.LABELS),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cmapss")
    stored(folder, drawn(30, 0), "train.npz")
    stored(folder, drawn(15, 1), "test.npz")
    return folder


def test_engines_are_never_divided() -> None:
    windows = drawn(30, 0)
    folds = folds_of(windows, 0)
    assert np.sum(folds, 0).tolist() == [1] * len(windows)
    for fold_N in folds:
        assert not set(windows.engines_N[fold_N]) & set(windows.engines_N[~fold_N])


def test_other_classes_are_refused(tmp_path: Path) -> None:
    stored(tmp_path, drawn(2, 0), "train.npz")
    with np.load(tmp_path / "train.npz") as found:
        changed = dict(found) | {"names": np.array(["a", "b", "c"])}
    np.savez(tmp_path / "train.npz", **changed)
    with pytest.raises(ValueError, match="has other classes"):
        read(tmp_path / "train.npz")


def test_features_are_mean_and_slope() -> None:
    samples = np.zeros((1, 2, 30))
    samples[0, 0] = 7
    samples[0, 1] = np.linspace(-1, 1, 30)
    mean, flat, centre, slope = features(samples)[0]
    assert (mean, flat, centre) == (pytest.approx(7), pytest.approx(0), pytest.approx(0))
    assert slope == pytest.approx(np.sqrt(3) * np.mean(samples[0, 1] ** 2))


def test_graph_answers_as_the_network_and_ignores_channels_that_never_moved(
    tmp_path: Path,
) -> None:
    windows = drawn(9, 0)
    channels = channels_of(windows)
    assert np.flatnonzero(~channels.used_C).tolist() == [STILL]
    rows = features(channels.normalised(windows.samples_NLC))
    network = fit(rows, windows.labels_N, members=2, hidden=4)
    assert (network.logits(rows).argmax(1) == windows.labels_N).mean() > 0.95
    export(network, channels.used_C, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    found = run(session, channels, windows)
    assert np.abs(found - network.logits(rows)).max() < 1e-4
    windows.samples_NLC[:, :, STILL] += 1000
    assert np.array_equal(run(session, channels, windows), found)


@pytest.mark.anyio
async def test_recipe_writes_a_version_that_serves(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models/turbofan/1"
    options = ["--data", data, "--out", folder, "--results", tmp_path / "results"]
    monkeypatch.setattr(sys, "argv", ["turbofan", *map(str, options)])
    training.main()
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "results/run.json").read_text())
    assert (report["windows"], report["engines"]) == (60, 15)
    assert report["right"]["share"] > 0.95
    assert report["majority"]["share"] == pytest.approx(1 / 3)
    low, high = report["right"]["low"], report["right"]["high"]
    assert 0.9 < low <= report["right"]["share"] <= high <= 1
    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_bytes())
    windows, names = read(data / "test.npz")
    assert manifest.series_input.channel_names == names
    logits = run(open_session(folder / "model.onnx"), channels_in(manifest), windows)
    shares = softmax(logits, manifest.temperature)
    async with served(folder) as model:
        for number in range(3):
            samples = windows.samples_NLC[number]
            answer = await model.classify_series(samples, 3, time.monotonic() + 30, ANYONE)
            scores = {one.index: one.score for one in answer.predictions}
            assert scores == pytest.approx(dict(enumerate(shares[number])), abs=1e-5)


def test_choices_are_compared_without_writing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipe, "CHOICES", ((2, 0.01),))
    out = tmp_path / "out"
    monkeypatch.setattr(
        sys, "argv", ["turbofan", "--data", str(data), "--out", str(out), "--choose"]
    )
    training.main()
    assert capsys.readouterr().out.startswith("2 units, decay 0.01: ")
    assert not out.exists()
