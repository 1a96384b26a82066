"""OpenVINO as an engine: batches, errors, threads, precision, and answers like ONNX Runtime's."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from schemas.errors import InferenceFailed
from schemas.models import ModelManifest
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.processor import multiplies_int8_exactly
from service.core.engine.providers import Precision, Provider, ProviderMissing, installed
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_manifest
from service.core.settings import RunSettings
from service.modeltools.optimising.quantising import quantise
from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.models.one_convolution import bright_images, graph_manifest, write_graph
from tests.support.models.pictures import plain
from tests.support.models.tiny_model import SIDE, colour_graph, colour_manifest, served, write_model
from tests.support.sensors.tiny_series import (
    loudest_graph,
    normalised,
    series_input,
    series_manifest,
    window,
)

if Provider.OPENVINO not in installed():
    pytest.skip("the package openvino is not installed", allow_module_level=True)

from service.core.engine.openvino_engine import OpenVinoEngine, check_precision

EVERYDAY = BUNDLED_MODELS / "everyday/1"


def manifest(**changes: object) -> ModelManifest:
    """The colour model's manifest; ``input`` and ``output`` are merged with what it has."""
    fitting = colour_manifest(b"")
    for group in ("input", "output"):
        changes[group] = {**dict(fitting[group]), **dict(changes.get(group, {}))}  # type: ignore[call-overload]
    return ModelManifest.model_validate({**fitting, "labels": ["r", "g", "b"], **changes})


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., OpenVinoEngine]:
    """Opens a graph, the colour model's unless given, with options of the engine."""

    def opened(
        graph: onnx.ModelProto | None = None,
        described: ModelManifest | None = None,
        **options: Any,
    ) -> OpenVinoEngine:
        file = tmp_path / "model.onnx"
        file.write_bytes((graph or colour_graph()).SerializeToString())
        return OpenVinoEngine(file, described or manifest(), **options)

    return opened


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, 3, SIDE, SIDE), np.float32)


def expected(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(batch.mean(axis=(2, 3)) * 10)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_dynamic_batch_accepts_any_number_of_images(
    engine: Callable[..., OpenVinoEngine], count: int, one_by_one: bool
) -> None:
    opened = engine(one_by_one=one_by_one)
    found = opened.run(images(count))
    assert opened.max_batch_size is None
    assert found.dtype == np.float32
    assert np.allclose(found, expected(images(count)), atol=1e-4)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_fixed_batch_is_padded_and_padding_results_are_dropped(
    engine: Callable[..., OpenVinoEngine], count: int, one_by_one: bool
) -> None:
    fixed = engine(colour_graph(batch=4), manifest(input={"batch": 4}), one_by_one=one_by_one)
    assert fixed.max_batch_size == 4
    found = fixed.run(images(count))
    assert found.shape == (count, 3)
    assert np.allclose(found, expected(images(count)), atol=1e-4)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_windows_of_samples_are_run_as_the_graph_takes_them(
    engine: Callable[..., OpenVinoEngine], one_by_one: bool
) -> None:
    described = ModelManifest.model_validate(series_manifest(b""))
    opened = engine(loudest_graph(), described, one_by_one=one_by_one)
    windows = np.stack([normalised(window(seed)) for seed in range(3)])
    assert np.allclose(opened.run(windows), windows.mean(axis=2), atol=1e-5)
    longer = ModelManifest.model_validate(series_manifest(b"", input=series_input(length=9)))
    with pytest.raises(
        ManifestMismatch, match=r"input\.length: is 9, but the graph takes \[3, 8\]"
    ):
        engine(loudest_graph(), longer)


def test_rank_four_output_is_flattened_to_a_matrix(engine: Callable[..., OpenVinoEngine]) -> None:
    graph = colour_graph()
    graph.graph.node[0].attribute[0].i = 1  # keepdims
    shape: list[str | int | None] = ["n", 3, 1, 1]
    graph.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", 1, shape))
    square = engine(graph, manifest(output={"rank": 4}))
    assert square.run(images(2)).shape == (2, 3)
    assert square.output_shape == (3, 1, 1), "what the graph made of one image"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_output_is_returned_unchanged(
    engine: Callable[..., OpenVinoEngine], bad: float
) -> None:
    batch = images(2)
    batch[1, 0, 0, 0] = bad
    found = engine().run(batch)
    assert np.isfinite(found).sum() == 5
    assert found[1, 0] == pytest.approx(bad, nan_ok=True)


def test_answers_of_earlier_runs_stay(engine: Callable[..., OpenVinoEngine]) -> None:
    opened = engine()
    first = opened.run(images(1, seed=1))
    kept = first.copy()
    opened.run(images(1, seed=2))
    assert np.array_equal(first, kept), "not a view into the request's memory"


def test_runtime_error_raises_inference_failed_of_one_line(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    with pytest.raises(InferenceFailed) as caught:
        engine().run(np.zeros((1, 3, 5, 5), np.float32))
    assert "incompatible" in str(caught.value.__cause__)
    assert len(str(caught.value.__cause__).splitlines()) == 1


def test_closed_engine_raises_inference_failed(engine: Callable[..., OpenVinoEngine]) -> None:
    closed = engine()
    closed.close()
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
        ({"input": {"layout": "NHWC"}}, "input.layout"),
        ({"output": {"name": "scores"}}, "output.name"),
        ({"output": {"rank": 4}}, "output.rank"),
    ],
)
def test_mismatched_manifest_is_refused_naming_the_field(
    engine: Callable[..., OpenVinoEngine], changes: dict[str, object], field: str
) -> None:
    with pytest.raises(ManifestMismatch, match=f"manifest field {field}: ") as caught:
        engine(None, manifest(**changes))
    assert caught.value.field == field


def test_fixed_batch_must_be_declared_in_the_manifest(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    with pytest.raises(ManifestMismatch, match=r"manifest field input\.batch"):
        engine(colour_graph(batch=4), manifest())


def test_non_float_output_is_refused(engine: Callable[..., OpenVinoEngine]) -> None:
    graph = colour_graph()
    graph.graph.node.append(helper.make_node("ArgMax", ["logits"], ["best"], axis=1, keepdims=1))
    graph.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("best", TensorProto.INT64, ["batch", 1])
    )
    with pytest.raises(ManifestMismatch, match="is i64; only float32 outputs are read"):
        engine(graph, manifest(output={"name": "best"}))


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x0a"])
def test_invalid_model_file_is_refused_and_nothing_is_printed(
    tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(ManifestMismatch, match=r"cannot load the file|the graph takes nothing"):
        OpenVinoEngine(file, manifest())
    assert capfd.readouterr() == ("", "")


def test_streams_and_threads_are_as_set_and_not_pinned(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    opened = engine(streams=2, threads=1, lone_threads=2, worth_seconds=0)
    assert opened.shares_cores
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for runner, streams in ((opened._runner, 2), (opened._lone_runner, 1)):
        assert runner._compiled.get_property("NUM_STREAMS") == streams
        assert runner._compiled.get_property("INFERENCE_NUM_THREADS") == min(2, cores or 1)
        assert runner._compiled.get_property("ENABLE_CPU_PINNING") is False
    assert np.array_equal(opened.run(images(2), alone=True), opened.run(images(2)))


@pytest.mark.parametrize("options", [{"lone_threads": 2, "worth_seconds": 60}, {"lone_threads": 1}])
def test_lone_model_is_not_compiled_without_benefit(
    engine: Callable[..., OpenVinoEngine], options: dict[str, float]
) -> None:
    single = engine(**options)
    assert not single.shares_cores
    assert np.array_equal(single.run(images(1), alone=True), single.run(images(1)))


def test_a_run_starts_no_threads_beyond_the_streams(engine: Callable[..., OpenVinoEngine]) -> None:
    opened = engine(streams=2)
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("threads are counted on Linux alone")
    opened.run(images(1))
    before = len(list(tasks.iterdir()))
    for _ in range(50):
        opened.run(images(1))
    assert len(list(tasks.iterdir())) == before


def test_runs_of_several_threads_do_not_mix(engine: Callable[..., OpenVinoEngine]) -> None:
    opened = engine(streams=2)
    wrong: list[int] = []

    def work(seed: int) -> None:
        batch = images(1, seed)
        runs = [opened.run(batch) for _ in range(100)]
        wrong.extend(seed for found in runs if not np.allclose(found, expected(batch), atol=1e-4))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(opened._runner._idle) <= 4, "requests are reused"


def test_precision_is_float32_unless_set(engine: Callable[..., OpenVinoEngine]) -> None:
    hint = engine()._runner._compiled.get_property("INFERENCE_PRECISION_HINT")
    assert hint.get_type_name() == "f32"


def test_bfloat16_is_refused_where_it_would_be_emulated(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    check_precision(Precision.F32, [])
    check_precision(Precision.BF16, ["FP32", "BF16"])
    with pytest.raises(ProviderMissing, match=r"inference\.precision: bf16 is not native"):
        check_precision(Precision.BF16, ["FP32", "INT8"])
    try:
        half = engine(precision=Precision.BF16)
    except ProviderMissing as error:
        assert "AVX512-BF16 or AMX" in str(error)  # noqa: PT017 - it depends on the processor
    else:
        hint = half._runner._compiled.get_property("INFERENCE_PRECISION_HINT")
        assert hint.get_type_name() == "bf16"


def test_unknown_option_is_refused_in_one_line(engine: Callable[..., OpenVinoEngine]) -> None:
    with pytest.raises(ProviderMissing, match=r"provider_options: .*NO_SUCH_OPTION") as caught:
        engine(options={"NO_SUCH_OPTION": "1"})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("one_by_one", [False, True])
def test_bundled_model_answers_as_by_onnx_runtime(one_by_one: bool) -> None:
    described = read_manifest(EVERYDAY)
    dice = np.random.default_rng(0)
    batch = dice.integers(0, 256, (3, *described.image_input.shape), np.uint8)
    batch = batch.astype(described.image_input.dtype)
    other = OnnxEngine(EVERYDAY / "model.onnx", described)
    found = OpenVinoEngine(EVERYDAY / "model.onnx", described, one_by_one=one_by_one)
    np.testing.assert_allclose(found.run(batch), other.run(batch), atol=1e-3)


@pytest.mark.anyio
async def test_bundled_model_passes_its_golden_samples_in_service() -> None:
    async with served(EVERYDAY, run=RunSettings(provider=Provider.OPENVINO)) as model:
        assert model.is_ready
        assert await model.canary(30)


@pytest.mark.anyio
async def test_wrong_golden_sample_is_refused(tmp_path: Path) -> None:
    (golden := tmp_path / "colours/1/golden").mkdir(parents=True)
    (golden / "red.png").write_bytes(plain())
    wrong = {"file": "red.png", "predictions": [{"index": 2, "score": 0.9}], "tolerance": 0.01}
    folder = write_model(tmp_path, golden=[wrong])
    with pytest.raises(ModelRefused, match=r"golden\[0\]: red\.png: class 2 scores"):
        async with served(folder, run=RunSettings(provider=Provider.OPENVINO)):
            pass


@pytest.mark.process
def test_import_loads_no_telemetry_even_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "openvino_telemetry.py").write_text("raise SystemExit('telemetry was loaded')")
    program = (
        "import sys\n"
        "from observability.open_vino import REPORTING, ov\n"
        "assert ov.Core().available_devices\n"
        "assert [sys.modules[name] for name in REPORTING] == [None, None]\n"
        "assert 'openvino.tools' not in sys.modules\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": path})


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (3, 1, 3, 3)], ids=["full", "depthwise"])
@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("bits", [7, 8])
def test_int8_weights_that_would_overflow_are_refused(
    tmp_path: Path, shape: tuple[int, ...], bits: Literal[7, 8], exact: bool
) -> None:
    groups = 3 if shape[1] == 1 else 1
    source, target = write_graph(tmp_path / "bright.onnx", shape, groups), tmp_path / "int8.onnx"
    batch = bright_images(4)
    quantise(source, target, "images", batch, lambda *_: None, weight_bits=bits)
    described = graph_manifest()
    if bits == 8 and groups == 1 and not exact:
        with pytest.raises(ProviderMissing, match=r"more than 7 bits\. Use provider cpu, or"):
            OpenVinoEngine(target, described, exact_int8=exact)
        return
    found = OpenVinoEngine(target, described, exact_int8=exact).run(batch[0])
    if bits == 7 or multiplies_int8_exactly():
        wanted = OnnxEngine(source, described).run(batch[0])
        np.testing.assert_allclose(found, wanted, rtol=0.03)


def test_graph_that_openvino_cannot_convert_is_refused_in_one_line(
    engine: Callable[..., OpenVinoEngine],
) -> None:
    graph = colour_graph()
    graph.opset_import.append(helper.make_opsetid("example.org", 1))
    graph.graph.node.append(
        helper.make_node("Strange", ["logits"], ["other"], domain="example.org")
    )
    graph.graph.output[0].name = "other"
    with pytest.raises(ManifestMismatch, match=r"cannot load the file: .*Strange") as caught:
        engine(graph, manifest(output={"name": "other"}))
    assert len(str(caught.value).splitlines()) == 1
