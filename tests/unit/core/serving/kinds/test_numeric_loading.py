"""A model of rows of numbers: checks when it is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.core.engine.providers import Provider
from service.core.repository.repository import ModelRefused
from service.core.settings import RunSettings
from tests.support.models.tiny_model import served
from tests.support.models.tiny_numeric import (
    model_of,
    numeric_input,
    rows,
    scaled,
    scaler_graph,
    write_scaler,
)

pytestmark = pytest.mark.anyio


def centred_on_batch() -> onnx.ModelProto:
    """A graph whose rows depend on each other: less the mean of the batch."""
    graph = scaler_graph().graph
    graph.node.insert(0, helper.make_node("ReduceMean", ["rows", "first"], ["mean"], keepdims=1))
    kept = [one for one in graph.initializer if one.name != "mean"]
    del graph.initializer[:]
    graph.initializer.extend([*kept, numpy_helper.from_array(np.array([0], np.int64), "first")])
    return model_of(graph)


def last_column_centred_on_batch() -> onnx.ModelProto:
    """A graph whose first column is so large that the dependence of the last one is small."""
    double, axis = TensorProto.DOUBLE, np.array([0], np.int64)
    nodes = [
        helper.make_node("ReduceMean", ["rows", "first"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "last"], ["shift"]),
        helper.make_node("Sub", ["rows", "shift"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "sizes"], ["scaled"]),
    ]
    constants = {"last": [0.0, 0, 1], "sizes": [1e9, 1, 1]}
    graph = helper.make_graph(
        nodes,
        "shifting",
        [helper.make_tensor_value_info("rows", double, ["n", 3])],
        [helper.make_tensor_value_info("scaled", double, ["n", 3])],
        [
            numpy_helper.from_array(axis, "first"),
            *(numpy_helper.from_array(np.array(one), name) for name, one in constants.items()),
        ],
    )
    return model_of(graph)


@pytest.mark.parametrize("graph", [centred_on_batch(), last_column_centred_on_batch()])
async def test_rows_that_depend_on_others_refuse_the_model(
    tmp_path: Path, graph: onnx.ModelProto
) -> None:
    folder = write_scaler(tmp_path, graph)
    with pytest.raises(ModelRefused, match="one row depends on the others in its batch"):
        async with served(folder):
            """Never ready."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "samples"}, "input.name: is 'samples', but the graph takes 'rows'"),
        ({"columns": 4}, r"input.columns: is 4, but the graph takes \['n', 3\]"),
        ({"dtype": "float32"}, r"input.dtype: is float32, but the graph takes tensor\(double\)"),
        ({"scaler": "other@2"}, "input.scaler: names .other@2., but there is no scaler"),
    ],
)
async def test_input_that_does_not_fit_refuses_the_model(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    folder = write_scaler(tmp_path, input=numeric_input(**change))
    with pytest.raises(ModelRefused, match=reason):
        async with served(folder):
            """Never ready."""


async def test_graph_of_another_rank_is_refused(tmp_path: Path) -> None:
    graph = scaler_graph()
    graph.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    folder = write_scaler(tmp_path, graph)
    with pytest.raises(ModelRefused, match=r"input.kind: has 2 axes, but the graph takes"):
        async with served(folder):
            """Never ready."""


async def test_openvino_refuses_rows_by_the_setting(tmp_path: Path) -> None:
    run = RunSettings(provider=Provider.OPENVINO)
    reason = "inference.provider: openvino runs models of images and of windows of samples; this"
    with pytest.raises(ModelRefused, match=reason):
        async with served(write_scaler(tmp_path), run=run):
            """Never ready."""


async def test_double_output_with_labels_is_refused(tmp_path: Path) -> None:
    folder = write_scaler(
        tmp_path, output={"name": "scaled", "kind": "logits"}, labels=["a", "b", "c"]
    )
    with pytest.raises(ModelRefused, match="only float32 outputs are read"):
        async with served(folder):
            """Never ready."""


def golden(folder: Path, given: NDArray[Any]) -> None:
    (folder / "golden").mkdir()
    np.save(folder / "golden/rows.npy", given)


def expected(values: NDArray[np.float64], **changes: object) -> list[dict[str, object]]:
    numbers = [[None if math.isnan(one) else one for one in row] for row in values.tolist()]
    return [{"file": "rows.npy", "values": numbers, "tolerance": 1e-9} | changes]


async def test_golden_rows_are_checked_nan_included(tmp_path: Path) -> None:
    given = rows(3)
    given[2, 1] = np.nan
    golden(write_scaler(tmp_path, golden_values=expected(scaled(given))), given)
    async with served(tmp_path / "scaler/1") as model:
        assert model.is_ready


@pytest.mark.parametrize(
    ("stored", "values", "reason"),
    [
        (rows(2), scaled(rows(2)) + 1e-6, r"golden_values\[0\]: rows.npy: number 0 of row 0 is"),
        (rows(2), np.full((2, 3), np.nan), "not nan within"),
        (rows(2), scaled(rows(1)), "the graph gives 2 rows of 3 numbers, not 1 of 3"),
        (rows(2)[:, :2], scaled(rows(2)), r"Rows are float64 of shape \['N', 3\]"),
        (np.zeros((2, 3), np.int64), scaled(rows(2)), "does not hold one array of float64"),
        (None, scaled(rows(2)), "rows.npy cannot be read"),
    ],
)
async def test_wrong_golden_rows_refuse_the_model(
    tmp_path: Path, stored: NDArray[Any] | None, values: NDArray[np.float64], reason: str
) -> None:
    folder = write_scaler(tmp_path, golden_values=expected(values))
    if stored is not None:
        golden(folder, stored)
    with pytest.raises(ModelRefused, match=reason):
        async with served(folder):
            """Never ready."""


async def test_more_golden_rows_than_the_fixed_batch_refuse_the_model(tmp_path: Path) -> None:
    folder = write_scaler(
        tmp_path,
        scaler_graph(batch=2),
        input=numeric_input(batch=2),
        golden_values=expected(scaled(rows(3))),
    )
    golden(folder, rows(3))
    with pytest.raises(ModelRefused, match="holds 3 items, but the graph's batch is 2"):
        async with served(folder):
            """Never ready."""
