"""Which way of quantising is taken: the nearest to the original of those as fast."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.core.engine.onnx_engine import OnnxEngine
from service.modeltools.optimising.calibrating import Calibration, collect
from service.modeltools.optimising.choosing import Chooser, Recipe, Tried, gains, nearest
from service.modeltools.optimising.quantising import prepared
from tests.support.models.one_convolution import bright_images, graph_manifest, write_graph


def tried(
    moved: float,
    run_ms: float,
    method: Calibration = Calibration.MINMAX,
    *,
    float_ends: bool = False,
) -> Tried:
    return Tried(Recipe(method, 7, float_ends), Path(method), moved, run_ms)


def test_nearest_of_the_fast_ones_is_taken() -> None:
    candidates = [tried(0.03, 1.0), tried(0.02, 1.05), tried(0.01, 1.06)]
    assert nearest(candidates) is candidates[1], "the last one is more than 5 % slower"


@pytest.mark.parametrize(
    ("moved", "run_ms", "expected"),
    [(0.01, 1.05, True), (0.01, 1.06, False), (0.02, 0.9, False), (0.03, 0.9, False)],
)
def test_float_ends_must_be_nearer_and_cost_little(
    moved: float, run_ms: float, expected: bool
) -> None:
    assert gains(tried(0.02, 1.0), tried(moved, run_ms, float_ends=True)) is expected


def test_every_way_is_tried_and_the_reason_has_its_figures(tmp_path: Path) -> None:
    source, target = write_graph(tmp_path / "bright.onnx", (8, 3, 3, 3)), tmp_path / "model.onnx"
    images, told = bright_images(12), list[str]()
    described = graph_manifest()
    with prepared(source, tmp_path / "graph") as graph:
        chooser = Chooser(
            graph,
            target,
            described,
            OnnxEngine(source, described),
            collect(graph, "images", images, lambda *_: None),
            images,
            lambda what, *_: told.append(what),
        )
        choice = chooser.choose(7)
    assert len(choice.tried) == len({one.file for one in choice.tried}) == 6
    assert choice.taken in choice.tried
    assert choice.taken.file.is_file()
    for one in choice.tried:
        assert 0 <= one.moved < 0.2
        assert one.run_ms > 0
        if not one.recipe.float_ends:
            assert f"{one.recipe.calibration} {one.moved:.2%}" in choice.reason
    assert told.count("quantising") == 6
    assert told.count("choosing") == len(images)
    assert choice.taken.recipe.title in {
        f"{one.recipe.calibration}, weights of 7 bits{ends}"
        for one in choice.tried
        for ends in ("", ", first and last layer in float32")
    }
