"""ONNX Runtime as an engine: batches, errors, and checks of the manifest against the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from observability.onnx_runtime import ort
from schemas.errors import InferenceFailed
from schemas.models import ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from tests.support.models.tiny_model import SIDE, colour_graph, colour_manifest


def manifest(**changes: object) -> ModelManifest:
    """The colour model's manifest, with ``input`` and ``output`` merged into it."""
    fitting = colour_manifest(b"")
    for group in ("input", "output"):
        changes[group] = {**dict(fitting[group]), **dict(changes.get(group, {}))}  # type: ignore[call-overload]
    return ModelManifest.model_validate({**fitting, "labels": ["r", "g", "b"], **changes})


def engine(folder: Path, graph: onnx.ModelProto | None = None, **changes: object) -> OnnxEngine:
    file = folder / "model.onnx"
    file.write_bytes((graph or colour_graph()).SerializeToString())
    return OnnxEngine(file, manifest(**changes))


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_dynamic_batch_accepts_any_number_of_images(tmp_path: Path, count: int) -> None:
    found = engine(tmp_path).run(images(count))
    assert found.dtype == np.float32
    assert np.allclose(found, images(count).mean(axis=(2, 3)) * 10, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_fixed_batch_is_padded_and_padding_results_are_dropped(tmp_path: Path, count: int) -> None:
    fixed = engine(tmp_path, colour_graph(batch=4), input={"batch": 4})
    assert fixed.max_batch_size == 4
    found = fixed.run(images(count))
    assert found.shape == (count, 3)
    assert np.allclose(found, images(count).mean(axis=(2, 3)) * 10, atol=1e-4)


def test_dynamic_batch_has_no_maximum_size(tmp_path: Path) -> None:
    assert engine(tmp_path).max_batch_size is None


def test_rank_four_output_is_flattened_to_a_matrix(tmp_path: Path) -> None:
    graph = colour_graph()
    graph.graph.node[0].attribute[0].i = 1  # keepdims
    del graph.graph.output[0].type.tensor_type.shape.dim[:]
    for size in ("n", 3, 1, 1):
        dimension = graph.graph.output[0].type.tensor_type.shape.dim.add()
        if isinstance(size, int):
            dimension.dim_value = size
        else:
            dimension.dim_param = size
    square = engine(tmp_path, graph, output={"rank": 4})
    assert square.run(images(2)).shape == (2, 3)
    assert square.output_shape == (3, 1, 1), "what the graph made of one image"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_output_is_returned_unchanged(tmp_path: Path, bad: float) -> None:
    batch = images(2)
    batch[1, 0, 0, 0] = bad
    found = engine(tmp_path).run(batch)
    assert np.isfinite(found).sum() == 5
    assert found[1, 0] == pytest.approx(bad, nan_ok=True)


@pytest.mark.parametrize("batch", ["dynamic", 4])
def test_answers_stay_the_same_after_memory_is_freed(tmp_path: Path, batch: str | int) -> None:
    graph = colour_graph() if batch == "dynamic" else colour_graph(batch=4)
    found = engine(tmp_path, graph, input={"batch": batch})
    before = found.run(images(2))
    found.shrink()
    assert np.array_equal(found.run(images(2)), before)


def test_runtime_error_raises_inference_failed(tmp_path: Path) -> None:
    with pytest.raises(InferenceFailed) as caught:
        engine(tmp_path).run(np.zeros((1, 3, 5, 5), np.float32))
    assert caught.value.__cause__ is not None


def test_closed_engine_raises_inference_failed(tmp_path: Path) -> None:
    closed = engine(tmp_path)
    closed.close()
    with pytest.raises(InferenceFailed):
        closed.run(images(1))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"input": {"name": "pixels"}}, "input.name"),
        ({"input": {"dtype": "uint8", "scale": 1}}, "input.dtype"),
        ({"input": {"colour": "grey"}}, "input.colour"),
        ({"input": {"height": 16}}, "input.height"),
        ({"input": {"width": 16}}, "input.width"),
        ({"output": {"name": "scores"}}, "output.name"),
        ({"output": {"rank": 4}}, "output.rank"),
        ({"input": {"layout": "NHWC"}}, "input.layout"),
    ],
)
def test_mismatched_manifest_is_refused_naming_the_field(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(ManifestMismatch, match=f"manifest field {field}: ") as caught:
        engine(tmp_path, None, **changes)
    assert caught.value.field == field


def test_fixed_batch_must_be_declared_in_the_manifest(tmp_path: Path) -> None:
    for batch in ("dynamic", 2):
        with pytest.raises(ManifestMismatch, match=r"manifest field input\.batch") as caught:
            engine(tmp_path, colour_graph(batch=4), input={"batch": batch})
        assert caught.value.field == "input.batch"


def test_an_input_without_four_axes_is_refused(tmp_path: Path) -> None:
    graph = colour_graph()
    del graph.graph.input[0].type.tensor_type.shape.dim[3]
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([2], np.int64), "axes"))
    with pytest.raises(ManifestMismatch, match=r"input\.layout: has 4 axes"):
        engine(tmp_path, graph)


def test_a_graph_with_a_second_input_is_refused(tmp_path: Path) -> None:
    graph = colour_graph()
    graph.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1]))
    with pytest.raises(ManifestMismatch, match="the graph takes 'image', 'mask'"):
        engine(tmp_path, graph)


def test_non_float_output_is_refused(tmp_path: Path) -> None:
    graph = colour_graph()
    graph.graph.node.append(helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=1))
    graph.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("best", TensorProto.INT64, ["batch", 1])
    )
    with pytest.raises(ManifestMismatch, match="only float32 outputs are read"):
        engine(tmp_path, graph, output={"name": "best"})


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x0a"])
def test_invalid_model_file_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(ManifestMismatch, match="ONNX Runtime cannot load the file"):
        OnnxEngine(file, manifest())


def test_lone_run_uses_a_session_with_more_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    class Recording(ort.InferenceSession):  # type: ignore[misc]
        """Records the number of threads of each run."""

        def run(self, *arguments: Any) -> Any:
            threads.append(self.get_session_options().intra_op_num_threads)
            return super().run(*arguments)

    monkeypatch.setattr(ort, "InferenceSession", Recording)
    file = tmp_path / "model.onnx"
    file.write_bytes(colour_graph().SerializeToString())
    shared = OnnxEngine(file, manifest(), lone_threads=2, worth_seconds=0)
    assert shared.shares_cores
    threads.clear()
    assert np.array_equal(shared.run(images(2), alone=True), shared.run(images(2)))
    assert threads == [2, 1]


@pytest.mark.parametrize("options", [{"lone_threads": 2, "worth_seconds": 60}, {"lone_threads": 1}])
def test_lone_session_is_not_created_without_benefit(
    tmp_path: Path, options: dict[str, float]
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(colour_graph().SerializeToString())
    single = OnnxEngine(file, manifest(), **options)  # type: ignore[arg-type]
    assert not single.shares_cores
    assert np.array_equal(single.run(images(1), alone=True), single.run(images(1)))
