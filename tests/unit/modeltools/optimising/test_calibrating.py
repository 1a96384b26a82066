"""Ranges of activations: right by hand, whatever the order of the images, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.modeltools.optimising.calibrating import BINS, Calibration, Histogram, collect
from service.modeltools.optimising.progress import NotOptimised
from service.modeltools.optimising.quantising import prepared
from tests.support.models.one_convolution import bright_images, write_graph


def histogram(*images: NDArray[np.float32]) -> Histogram:
    made = Histogram()
    for image in images:
        made.add(np.asarray(image, np.float32))
    return made


def normal(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(count, np.float32)


def test_minmax_is_the_least_and_greatest_value() -> None:
    found = histogram(np.array([[0.5, -2]]), np.array([3.25, 0]))
    assert found.range_by(Calibration.MINMAX) == (-2, 3.25)


def test_counts_do_not_depend_on_the_order() -> None:
    images = [normal(5000) * 2.0**scale for scale in (-3, 4, 0, 1)]
    forth, back = histogram(*images), histogram(*reversed(images))
    assert forth.reach == back.reach
    np.testing.assert_array_equal(forth.counts, back.counts)
    assert forth.counts.sum() + forth.zeros == 20_000
    assert forth.counts.size == BINS


def test_growing_range_keeps_values_in_their_bins() -> None:
    small, large = normal(1000), np.array([900, -900], np.float32)
    grown = histogram(small, large)
    expected, _ = np.histogram(np.concatenate([small, large]), BINS, (-grown.reach, grown.reach))
    assert np.abs(grown.counts - expected).sum() <= 2, "rounding at the edge of a bin"


@pytest.mark.parametrize("values", [np.zeros(10), np.zeros(0)])
@pytest.mark.parametrize("method", Calibration)
def test_nothing_but_zeros_gives_an_empty_range(
    values: NDArray[np.float32], method: Calibration
) -> None:
    assert histogram(values).range_by(method) == (0, 0)


def test_percentile_cuts_off_rare_values() -> None:
    values = np.concatenate([np.linspace(0, 1, 100_000), np.full(3, 100.0)])
    low, high = histogram(values).range_by(Calibration.PERCENTILE)
    assert low == 0
    assert 1 <= high <= 1.2
    kept = histogram(np.concatenate([values, np.full(10, 100.0)]))
    assert kept.range_by(Calibration.PERCENTILE)[1] == 100, "now they are not rare"


def test_entropy_cuts_off_rare_values_and_keeps_an_even_spread() -> None:
    tail = np.concatenate([normal(200_000), np.full(2, 60, np.float32)])
    low, high = histogram(tail).range_by(Calibration.ENTROPY)
    assert 3 < high < 20
    assert -6 < low < -3
    even = np.linspace(-1, 1, 100_001)
    assert histogram(even.astype(np.float32)).range_by(Calibration.ENTROPY) == (-1, 1)


def test_entropy_ignores_the_zeros_of_a_relu() -> None:
    positive = np.abs(normal(100_000))
    mostly_zero = np.concatenate([positive, np.zeros(1_000_000)])
    alone, among = (
        histogram(each).range_by(Calibration.ENTROPY) for each in (positive, mostly_zero)
    )
    assert among == (0, alone[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_activation_is_refused(bad: float) -> None:
    with pytest.raises(NotOptimised, match="not finite"):
        histogram(np.array([1, bad]))


def test_ranges_alone_need_no_histogram() -> None:
    found = Histogram()
    found.add(normal(100), only_range=True)
    assert not found.counts.any()
    assert found.range_by(Calibration.MINMAX) == (
        float(normal(100).min()),
        float(normal(100).max()),
    )


def test_collected_tensors_are_input_and_activations(tmp_path: Path) -> None:
    source = write_graph(tmp_path / "bright.onnx", (8, 3, 3, 3))
    images, told = bright_images(4), list[tuple[str, int, int]]()
    with prepared(source, tmp_path / "graph") as graph:
        found = collect(graph, "images", images, lambda *what: told.append(what))
    assert {"images", "logits"} <= set(found)
    assert "weights" not in found
    low, high = found["images"].range_by(Calibration.MINMAX)
    assert (low, high) == (float(np.min(images)), float(np.max(images)))
    assert told == [("calibrating", number, 4) for number in (1, 2, 3, 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["bright.onnx"]


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    source = write_graph(tmp_path / "bright.onnx", (64, 3, 3, 3))
    image = bright_images(1)
    peaks = []
    with prepared(source, tmp_path / "graph") as graph:
        collect(graph, "images", image, lambda *_: None)  # what is imported and cached stays
        for count in (2, 40):
            tracemalloc.start()
            collect(graph, "images", image * count, lambda *_: None)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    one_image = 64 * 14 * 14 * 4
    assert peaks[1] - peaks[0] < 10 * one_image, "38 more images would be 76 times this"
