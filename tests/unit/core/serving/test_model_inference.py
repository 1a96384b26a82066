"""Raw inference on a real model equals ONNX Runtime's output."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from observability.metrics.metrics import Metrics
from observability.onnx_runtime import ort
from schemas.errors import (
    DeadlineExceeded,
    InferenceFailed,
    InvalidImage,
    InvalidTensor,
    UnsupportedImage,
)
from schemas.http.inference import Datatype
from service.core.scheduling.call_context import CallContext
from service.core.serving.model import Model
from service.core.serving.queries.description import config, metadata, statistics
from service.core.settings import RunSettings
from service.core.tensors.inference import InferRequest, InferResponse
from service.core.tensors.tensors import Tensor, of_bytes
from tests.support.models.pictures import BLUE, GREEN, RED, encoded, gradient, plain
from tests.support.models.tiny_model import (
    LABELS,
    SIDE,
    colour_graph,
    colour_manifest,
    served,
    write_model,
)

pytestmark = pytest.mark.anyio
HTTP, V2 = CallContext("", 1, "http"), CallContext("", 1, "v2")


def soon() -> float:
    return time.monotonic() + 30


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)


def tensor(array: NDArray[Any], name: str = "image") -> Tensor:
    return Tensor(name, Datatype.FP32 if array.dtype == np.float32 else Datatype.UINT8, array)


async def infer(
    model: Model, *inputs: Tensor, most: int = 64, deadline: float | None = None, **members: Any
) -> InferResponse:
    request = InferRequest(inputs, **members)
    return await model.infer(request, deadline or soon(), V2, most=most)


def by_onnxruntime(folder: Path, array: NDArray[Any]) -> NDArray[np.float32]:
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"image": array})
    found: NDArray[np.float32] = output
    return found


def pixels_graph() -> onnx.ModelProto:
    """uint8 [N, 32, 32, 3] to the sums of each channel, [N, 3, 1, 1]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, 1, 1])],
        [
            numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
            numpy_helper.from_array(np.array([2, 3], np.int64), "last"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


PIXELS = {
    "input": {
        "name": "image",
        "dtype": "uint8",
        "layout": "NHWC",
        "colour": "RGB",
        "height": SIDE,
        "width": SIDE,
        "resize": {"policy": "shorter_side", "pixels": SIDE},
    },
    "output": {"name": "logits", "kind": "logits", "rank": 4},
}


@pytest.mark.parametrize("count", [1, 2, 7])
async def test_raw_outputs_equal_those_of_onnx_runtime(tmp_path: Path, count: int) -> None:
    folder = write_model(tmp_path)
    async with served(folder) as model:
        response = await infer(model, tensor(images(count)), id="an id")
    (output,) = response.outputs
    assert (response.model.name, response.model.version, response.id) == ("colours", 1, "an id")
    assert (output.name, output.datatype, output.shape) == ("logits", Datatype.FP32, (count, 3))
    assert (response.labels, response.label_offset) == (LABELS, 0)
    assert output.array.dtype == np.float32
    assert np.allclose(output.array, by_onnxruntime(folder, images(count)), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
async def test_fixed_batch_accepts_any_number_of_items(tmp_path: Path, count: int) -> None:
    fixed = {**dict(colour_manifest(b"")["input"]), "batch": 4}  # type: ignore[call-overload]
    folder = write_model(tmp_path, colour_graph(batch=4), input=fixed)
    async with served(folder) as model:
        (output,) = (await infer(model, tensor(images(count)))).outputs
        runs = model.statistics.execution_count
    assert np.allclose(output.array, images(count).mean(axis=(2, 3)) * 10, atol=1e-4)
    assert runs == -(-count // 4), "rows that wait fill the batch up"


async def test_uint8_model_accepts_pixels_and_keeps_the_graphs_shape(tmp_path: Path) -> None:
    folder = write_model(tmp_path, pixels_graph(), **PIXELS)
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    async with served(folder) as model:
        (output,) = (await infer(model, tensor(pixels))).outputs
        described = metadata(model)
    assert output.shape == (3, 3, 1, 1)
    assert np.allclose(output.array, by_onnxruntime(folder, pixels), rtol=1e-6)
    (taken,) = described.inputs
    assert (taken.name, taken.datatype, taken.shape) == ("image", "UINT8", [-1, SIDE, SIDE, 3])
    assert described.outputs[0].shape == [-1, 3, 1, 1]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
async def test_encoded_images_are_decoded_by_the_manifest(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    files = [plain(RED), plain(GREEN, format="JPEG"), plain(BLUE, format="BMP")]
    async with served(write_model(tmp_path)) as model:
        (output,) = (await infer(model, of_bytes("image", files, shape))).outputs
    assert output.shape == (3, 3)
    assert np.allclose(output.array, 10 * np.eye(3), atol=0.1)


async def test_raw_request_is_one_item_or_one_image(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        (item,) = (await infer(model, raw=images(1).tobytes())).outputs
        (image,) = (await infer(model, raw=memoryview(plain(GREEN)))).outputs
        for wrong in (b"", b"x" * 100, images(2).tobytes(), images(1).tobytes()[1:]):
            with pytest.raises(InvalidTensor):
                await infer(model, raw=wrong)
    assert np.allclose(item.array, images(1).mean(axis=(2, 3)) * 10, atol=1e-4)
    assert np.allclose(image.array, [[0, 10, 0]], atol=0.1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
async def test_non_finite_values_pass_through(tmp_path: Path, bad: float) -> None:
    folder = write_model(tmp_path)
    array = images(2)
    array[1, 0] = bad
    async with served(folder) as model:
        (output,) = (await infer(model, tensor(array))).outputs
    assert np.isfinite(output.array[0]).all()
    assert not np.isfinite(output.array[1, 0])
    assert np.array_equal(output.array, by_onnxruntime(folder, array), equal_nan=True)


async def test_image_is_unaffected_by_a_bad_tensor_in_parallel(tmp_path: Path) -> None:
    async with served(write_model(tmp_path), run=RunSettings(max_batch_size=8)) as model:
        bad = tensor(np.full((3, 3, SIDE, SIDE), np.nan, np.float32))
        tensors, image = await asyncio.gather(
            infer(model, bad), model.classify(plain(RED), 1, soon(), HTTP)
        )
    assert np.isnan(tensors.outputs[0].array).all()
    assert image.predictions[0].label == "red"


WRONG: dict[str, tuple[Tensor, ...]] = {
    "no input": (),
    "unknown input": (tensor(images(1), "pixels"),),
    "one more input": (tensor(images(1)), tensor(images(1), "pixels")),
    "the same input twice": (tensor(images(1)), tensor(images(1))),
    "another type": (tensor(images(1).astype(np.uint8)),),
    "no batch": (tensor(images(1)[0]),),
    "another size": (tensor(images(1)[:, :, 1:]),),
    "another order": (tensor(images(1).transpose(0, 2, 3, 1)),),
    "no items": (tensor(images(1)[:0]),),
    "too many items": (tensor(images(5)),),
    "images in a matrix": (of_bytes("image", [plain()] * 4, (2, 2)),),
    "one image without an axis": (of_bytes("image", [plain()], ()),),
}


@pytest.mark.parametrize("inputs", WRONG.values(), ids=WRONG)
async def test_mismatched_input_tensor_is_refused(tmp_path: Path, inputs: Sequence[Tensor]) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(InvalidTensor):
            await infer(model, *inputs, most=4)
        assert model.statistics.fail.count == 1
        assert model.statistics.execution_count == 0


@pytest.mark.parametrize("names", [["other"], ["logits", "logits"], ["logits"] * 65])
async def test_invalid_requested_outputs_are_refused(tmp_path: Path, names: list[str]) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(InvalidTensor):
            await infer(model, tensor(images(1)), outputs=tuple(names))


async def test_items_above_the_queue_capacity_are_refused(tmp_path: Path) -> None:
    async with served(write_model(tmp_path), run=RunSettings(queue_capacity=3)) as model:
        with pytest.raises(InvalidTensor):
            await infer(model, tensor(images(4)))
        assert (await infer(model, tensor(images(3)))).outputs[0].shape == (3, 3)
        assert config(model, 64).max_batch_size == 3


async def test_bad_image_is_named_by_position_and_fails_the_request(tmp_path: Path) -> None:
    truncated = encoded(gradient())[:200]
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(UnsupportedImage) as unknown:
            await infer(model, of_bytes("image", [plain(), b"text"], (2,)))
        with pytest.raises(InvalidImage) as damaged:
            await infer(model, of_bytes("image", [truncated, plain()], (2,)))
        again = await infer(model, of_bytes("image", [plain()], (1,)))
    assert unknown.value.detail.startswith("Image 1: Not a JPEG")
    assert damaged.value.detail.startswith("Image 0: The image is truncated")
    assert again.outputs[0].shape == (1, 3)


async def test_expired_deadline_raises_deadline_exceeded(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        with pytest.raises(DeadlineExceeded):
            await infer(model, tensor(images(2)), deadline=time.monotonic())


async def test_failing_runtime_fails_the_request(tmp_path: Path) -> None:
    async with served(write_model(tmp_path)) as model:
        model._engine.close()
        with pytest.raises(InferenceFailed):
            await infer(model, tensor(images(2)))


async def test_statistics_and_metrics_count_requests_and_failures(tmp_path: Path) -> None:
    metrics = Metrics()
    async with served(write_model(tmp_path), metrics=metrics) as model:
        began = time.time_ns() // 1_000_000
        await infer(model, tensor(images(3)))
        await infer(model, of_bytes("image", [plain(), plain()], (2,)))
        await model.classify(plain(), 1, soon(), HTTP)
        with pytest.raises(UnsupportedImage):
            await model.classify(b"text", 1, soon(), HTTP)
        found = statistics(model)
    assert (found.name, found.version, found.inference_count) == ("colours", "1", 6)
    assert found.execution_count == 6, "one at a time by default"
    assert found.last_inference >= began
    stats = found.inference_stats
    parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
    assert [part.count for part in (stats.success, *parts)] == [3] * 5
    assert stats.success.ns >= sum(part.ns for part in parts)
    assert min(part.ns for part in parts) > 0
    assert (stats.fail.count, stats.fail.ns > 0) == (1, True)
    (batch,) = found.batch_stats
    assert (batch.batch_size, batch.compute_infer.count) == (1, 6)
    name = "potoo_predictions_total"
    for protocol, count in (("v2", 5), ("http", 1)):
        labels = {"model": "colours", "protocol": protocol}
        assert metrics.registry.get_sample_value(name, labels) == count


async def test_model_config_is_given_in_tritons_format(tmp_path: Path) -> None:
    run = RunSettings(max_batch_size=8, max_queue_delay_ms=2)
    async with served(write_model(tmp_path), run=run) as model:
        told = config(model, 64).model_dump()
    assert told == {
        "name": "colours",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": 64,
        "input": [
            {
                "name": "image",
                "data_type": "TYPE_FP32",
                "format": "FORMAT_NCHW",
                "dims": [3, SIDE, SIDE],
            }
        ],
        "output": [
            {
                "name": "logits",
                "data_type": "TYPE_FP32",
                "dims": [len(LABELS)],
                "label_filename": "",
            }
        ],
        "dynamic_batching": {"preferred_batch_size": [8], "max_queue_delay_microseconds": 2000},
    }
