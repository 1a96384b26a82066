"""The benchmark of verdicts, on small data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.teach import accuracy, flips, honesty, plots, saving
from benchmarks.teach.labelled import Labelled, load
from service.teach.heads.fitting import FitOptions


@pytest.fixture(scope="module")
def data() -> Labelled:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    features = 2.5 * np.eye(3, 6)[labels] + rng.normal(size=(300, 6))
    return Labelled(features[:, np.newaxis].astype(np.float32), labels, ("a", "b", "c"))


def test_labels_needed_are_those_of_three_batches() -> None:
    course = saving.Course((20, 30, 40, 50, 60), (0.5, 0.9, 0.5, 0.9, 0.9))
    assert course.needed(0.8) == 60
    assert course.needed(0.95) is None


def test_saving_is_measured_and_plotted(data: Labelled, tmp_path: Path) -> None:
    found = saving.measure(data, seeds=2)
    assert set(found) == {"wanted", "random", "useful"}
    plots.plot_saving(found, tmp_path / "saving.png")
    assert (tmp_path / "saving.png").stat().st_size > 1000


def test_flips_are_counted(data: Labelled) -> None:
    rows = flips.measure(data, 1, FitOptions())
    assert [row["labels"] for row in rows] == [100, 200, 300]
    assert all(0 <= float(str(row["found"])) <= 1 for row in rows)


def test_honesty_is_measured_and_plotted(
    data: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(honesty, "SIZES", (20, 40))
    rows = honesty.measure(data, 2, FitOptions())
    assert len(rows) == 8
    assert {row["drawn"] for row in rows} == {"evenly", "at random"}
    plots.plot_honesty(rows, tmp_path / "honesty.png")
    assert (tmp_path / "honesty.png").stat().st_size > 1000


def test_features_are_read_from_the_cache(tmp_path: Path) -> None:
    features = np.zeros((3, 1, 4), np.float32)
    np.savez(tmp_path / "cache.npz", features=features, labels=np.array(["b", "a", "b"]))
    found = load(tmp_path, cache=tmp_path / "cache.npz")
    assert found.classes == ("a", "b")
    assert found.labels_N.tolist() == [1, 0, 1]
    assert found.of_classes((1,)).labels_N.tolist() == [0, 0]


def test_accuracy_is_measured_and_plotted(data: Labelled, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(300)
    train, test = data.at(order[:200]), data.at(order[200:])
    rows = [{"data": "drawn", **row} for row in (*accuracy.whole(train, test),)]
    assert [row["head"] for row in rows] == ["linear", "kernel", "best"]
    assert all(float(str(row["accuracy"])) > 0.8 for row in rows)
    pairs = [{"data": "drawn", **row} for row in accuracy.of_pairs(train, test)]
    assert len(accuracy.splits(data)) == 3
    plots.plot_accuracy(rows, pairs, tmp_path / "accuracy.png")
    assert (tmp_path / "accuracy.png").stat().st_size > 1000
