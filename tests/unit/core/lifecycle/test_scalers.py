"""A scaler in front of a model: found at load, pinned, and applied in float64."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from observability.metrics.metrics import Metrics
from service.core.engine.pool import WorkerPool
from service.core.imaging.preprocessing import TensorConverter
from service.core.lifecycle.loading import ModelOptions, load_model
from service.core.lifecycle.scalers import with_scaler
from service.core.repository.publishing import drafting
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.version_files import read_manifest
from service.core.serving.model import Model
from service.core.settings import RunSettings
from service.preprocess.numeric.rows import Rows
from service.preprocess.scalers.fitting import fit
from service.preprocess.scalers.publishing import write_scaler
from service.preprocess.scalers.sums import sums_of
from tests.support.models.calls import ANYONE
from tests.support.models.tiny_model import image_limits, input_spec, write_model
from tests.support.sensors.tiny_series import LENGTH, series_input, window, write_series_model

FAR = 1e30


def publish(root: Path, name: str, values_NC: NDArray[np.float64], *columns: str) -> None:
    """Publish a standard scaler of these rows that imputes by the mean."""
    scaler = fit(sums_of(Rows(values_NC, columns), 100), "standard", "mean")
    with drafting(root, name) as draft:
        write_scaler(draft, Repository(root), scaler, "")
        draft.publish()


def load(folder: Path) -> Model:
    pool = WorkerPool("scalers", 1)
    try:
        return load_model(
            folder, pool, ModelOptions(image_limits(), RunSettings(threads_alone=1)), Metrics()
        )
    finally:
        pool.close()


def unscaled(**changes: Any) -> dict[str, Any]:
    """The input of the series model, without its own scaling."""
    return {**series_input(), "scale": 1.0, "mean": [0.0], "std": [1.0], **changes}


TABLE = np.array([[1e9, 2.0, -5.0], [1e9 + 2, 6.0, 5.0]])


def test_windows_are_scaled_in_float64(tmp_path: Path) -> None:
    publish(tmp_path, "vibration", TABLE)
    model = load(write_series_model(tmp_path, input=unscaled(scaler="vibration")))
    samples_LC = window() + np.float32(1e9)
    found = model._kind.prepare(_window(samples_LC)).tensor
    expected = ((samples_LC.astype(np.float64) - TABLE.mean(axis=0)) / TABLE.std(axis=0)).T
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    assert model.manifest.series_input.scaler == "vibration@1"


def test_missing_samples_are_imputed(tmp_path: Path) -> None:
    publish(tmp_path, "vibration", TABLE)
    model = load(write_series_model(tmp_path, input=unscaled(scaler="vibration@1")))
    samples_LC = np.full((LENGTH, 3), np.nan, np.float32)
    assert not model._kind.prepare(_window(samples_LC)).tensor.any()


def test_the_version_is_pinned_when_the_model_is_loaded(tmp_path: Path) -> None:
    publish(tmp_path, "vibration", TABLE)
    folder = write_series_model(tmp_path, input=unscaled(scaler="vibration"))
    first = load(folder)
    publish(tmp_path, "vibration", TABLE * 2)
    assert load(folder).manifest.series_input.scaler == "vibration@2"
    assert first.manifest.series_input.scaler == "vibration@1"
    (tmp_path / "vibration/serving.json").write_text('{"default": 1}')
    assert load(folder).manifest.series_input.scaler == "vibration@1"


@pytest.mark.parametrize(
    ("scaler", "reason"),
    [
        ("absent", "names 'absent', but there is no scaler of that name in the repository"),
        ("vibration@7", "names 'vibration@7', but there is no version 7 of that scaler"),
        ("colours", "names 'colours', but that model is no scaler"),
        ("two", "'two' has 2 columns, but the model has 3 channels"),
        ("named", "column 2 of 'named' is 'b', but that of the model is 'y'"),
    ],
)
def test_a_scaler_that_does_not_fit_is_named(tmp_path: Path, scaler: str, reason: str) -> None:
    publish(tmp_path, "vibration", TABLE)
    publish(tmp_path, "two", TABLE[:, :2])
    publish(tmp_path, "named", TABLE, "x", "b", "z")
    write_model(tmp_path)
    spec = unscaled(scaler=scaler, channel_names=["x", "y", "z"])
    with pytest.raises(ModelRefused, match="manifest field input.scaler") as caught:
        load(write_series_model(tmp_path, input=spec))
    assert reason in str(caught.value)


def test_a_scaler_that_was_removed_is_named(tmp_path: Path) -> None:
    publish(tmp_path, "vibration", TABLE)
    folder = write_series_model(tmp_path, input=unscaled(scaler="vibration"))
    load(folder)
    shutil.rmtree(tmp_path / "vibration")
    with pytest.raises(ModelRefused, match="names 'vibration'"):
        load(folder)


def test_a_scaler_whose_files_were_changed_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, "vibration", TABLE)
    folder = write_series_model(tmp_path, input=unscaled(scaler="vibration"))
    graph = tmp_path / "vibration/1/model.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"Div", b"Mul"))
    with pytest.raises(ModelRefused, match="which cannot be read"):
        load(folder)


@pytest.mark.parametrize("change", [{"mean": [1.0]}, {"std": [2.0]}, {"scale": 2.0}])
def test_a_scaler_stands_instead_of_other_scaling(tmp_path: Path, change: dict[str, Any]) -> None:
    publish(tmp_path, "vibration", TABLE)
    folder = write_series_model(tmp_path, input=unscaled(scaler="vibration", **change))
    with pytest.raises(ModelRefused, match="scaler stands instead of scale, mean and std"):
        load(folder)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_levels_of_images_are_scaled_by_channel(layout: str) -> None:
    values = np.array([[100.0, 110.0, 120.0], [120.0, 150.0, 180.0]])
    scaler = fit(sums_of(Rows(values), 0), "standard", "none").graph.map
    spec = input_spec(
        dtype="float32", layout=layout, colour="BGR", scaler="colour"
    )
    pixels = np.random.default_rng(0).integers(0, 256, (spec.height, spec.width, 3), np.uint8)
    found = TensorConverter(spec, scaler)(pixels)
    bgr = pixels[:, :, ::-1].astype(np.float64)
    expected = ((bgr - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)
    np.testing.assert_array_equal(
        found, expected.transpose(2, 0, 1) if layout == "NCHW" else expected
    )


def test_rows_are_scaled_in_front_of_a_numeric_model(tmp_path: Path) -> None:
    publish(tmp_path, "passengers", TABLE, "a", "b", "c")
    folder = write_total(tmp_path, scaler="passengers", column_names=["a", "b", "c"])

    async def transform() -> NDArray[np.float64]:
        pool = WorkerPool("scalers", 1)
        options = ModelOptions(image_limits(), RunSettings(threads_alone=1))
        model = load_model(folder, pool, options, Metrics())
        try:
            return await model.transform(TABLE, asyncio.get_running_loop().time() + 60, ANYONE)
        finally:
            await model.close()
            pool.close()

    np.testing.assert_allclose(asyncio.run(transform()), [[-3], [3]])


def test_a_manifest_without_a_scaler_stays_as_it_is(tmp_path: Path) -> None:
    manifest = read_manifest(write_series_model(tmp_path))
    assert with_scaler(manifest, tmp_path) == (manifest, None)
    assert "scaler" not in manifest.model_dump_json()


def write_total(root: Path, **changes: Any) -> Path:
    """Write a model of rows of three numbers whose answer is their sum."""
    import hashlib

    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["rows", "axes"], ["total"], keepdims=1)],
        "total",
        [helper.make_tensor_value_info("rows", TensorProto.DOUBLE, ["N", 3])],
        [helper.make_tensor_value_info("total", TensorProto.DOUBLE, ["N", 1])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    manifest = {
        "name": "total",
        "version": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "labels": [],
        "input": {"kind": "numeric", "name": "rows", "columns": 3, **changes},
        "output": {"name": "total", "kind": "values"},
        "licence": "Apache-2.0",
        "source": "drawn for the tests",
    }
    folder = root / "total/1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _window(samples_LC: NDArray[np.float32]) -> Any:
    from service.core.series.preprocessing import Window

    return Window(samples_LC.astype(np.float32))
