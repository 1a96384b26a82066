"""Raw inference equals ONNX Runtime's output for the same model and input."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from observability.onnx_runtime import ort
from schemas.http.inference import Datatype
from service.core.serving.queries.description import metadata
from service.core.tensors.inference import InferRequest
from service.core.tensors.tensors import Tensor
from tests.support.models.calls import ANYONE
from tests.support.models.tiny_model import served
from tests.support.repository import NAMES, SHARED, assemble

pytestmark = pytest.mark.skipif(
    not (SHARED / "models").is_dir(), reason="the shared data is not beside this checkout"
)


def row_by_row(folder: Path, array: NDArray[Any]) -> NDArray[np.float32]:
    """Run one item at a time, as a graph of batch 1 requires."""
    options = ort.SessionOptions()
    # Same option as the engine: by default INT8 sums saturate on x86 without VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = ort.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()
    rows = [session.run(None, {taken.name: row[np.newaxis]})[0] for row in array]
    return np.concatenate(rows)


@pytest.mark.parametrize("name", NAMES)
def test_raw_outputs_equal_those_of_onnx_runtime(tmp_path: Path, name: str) -> None:
    folder = assemble(tmp_path, (name,)) / name / "1"

    async def ask() -> tuple[Any, Any, NDArray[np.float32]]:
        async with served(folder) as model:
            told, spec = metadata(model), model.manifest.image_input
            pixels = np.random.default_rng(0).integers(0, 256, (3, *spec.shape), np.uint8)
            array = pixels if spec.dtype == "uint8" else pixels.astype(np.float32) / 255
            tensor = Tensor(spec.name, Datatype(told.inputs[0].datatype), array)
            request = InferRequest((tensor,))
            answer = await model.infer(request, time.monotonic() + 60, ANYONE, most=64)
            return told, answer, row_by_row(folder, array)

    told, answer, expected = asyncio.run(ask())
    (output,) = answer.outputs
    assert output.shape == expected.shape
    assert told.outputs[0].shape == [-1, *expected.shape[1:]]
    assert told.outputs[0].name == output.name
    assert np.allclose(output.array, expected, rtol=1e-4, atol=1e-5)
