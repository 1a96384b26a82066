"""A loaded version resizes by SIMD unless its graph is quantised."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from service.core.imaging.resizers import Resizer
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import encoded, noise
from tests.support.models.tiny_model import colour_graph, served, write_model
from tests.support.resizers import needs_cykooz

PHOTOS = [encoded(noise((50 + number, 37))) for number in range(20)]


def quantised() -> onnx.ModelProto:
    """``colour_graph`` with a factor of eight bits."""
    model = colour_graph()
    del model.graph.initializer[1:]
    for name, value in (("eight_bits", np.uint8(10)), ("scale", np.float32(1))):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    model.graph.node.insert(
        0, helper.make_node("DequantizeLinear", ["eight_bits", "scale"], ["ten"])
    )
    return model


async def scores(folder: Path, resizer: Resizer) -> list[dict[str, float]]:
    async with served(folder, resizer=resizer) as model:
        answers = [
            await model.classify(photo, 3, time.monotonic() + 30, ANYONE) for photo in PHOTOS
        ]
    return [{one.label: one.score for one in answer.predictions} for answer in answers]


@needs_cykooz
@pytest.mark.anyio
async def test_quantised_graphs_get_pixels_of_pillow(tmp_path: Path) -> None:
    folder = write_model(tmp_path, quantised())
    assert await scores(folder, Resizer.CYKOOZ) == await scores(folder, Resizer.PILLOW)


@needs_cykooz
@pytest.mark.anyio
async def test_other_graphs_get_pixels_of_the_chosen_resizer(tmp_path: Path) -> None:
    folder = write_model(tmp_path, colour_graph())
    by_simd, by_pillow = [await scores(folder, resizer) for resizer in Resizer]
    assert by_simd != by_pillow
    for one, other in zip(by_simd, by_pillow, strict=True):
        assert one == pytest.approx(other, abs=0.01)
