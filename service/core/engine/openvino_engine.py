"""The OpenVINO engine. Importing this module loads OpenVINO: only the models that ask for it do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from observability.open_vino import ov
from schemas.errors import InferenceFailed
from schemas.models import ModelManifest
from service.core.engine.engine import WORTH_SHARING_SECONDS, Images, Outputs
from service.core.engine.graph_check import ManifestMismatch, check_output
from service.core.engine.inputs.graph_input import GraphInput, graph_input
from service.core.engine.processor import multiplies_int8_exactly
from service.core.engine.providers import Precision, Provider, ProviderMissing
from service.core.engine.runs import run_filled, seconds_of_run

_ONNX_TYPES = {"f32": "tensor(float)", "u8": "tensor(uint8)"}


class OpenVinoEngine:
    """An engine of OpenVINO on the CPU: one compiled model, with a stream for each worker.

    The streams share one copy of the weights. Each computes on its own threads while the worker
    that called waits, so that as many threads compute as with ONNX Runtime. They are not pinned to
    cores. If runs take long enough, a second compiled model of one stream with all the cores serves
    an image that is alone. The precision is set: OpenVINO would choose bfloat16 by itself.
    """

    def __init__(
        self,
        model: Path,
        manifest: ModelManifest,
        *,
        streams: int = 1,
        threads: int = 1,
        lone_threads: int = 1,
        precision: Precision = Precision.F32,
        options: Mapping[str, str] = MappingProxyType({}),
        one_by_one: bool = False,
        exact_int8: bool | None = None,
        worth_seconds: float = WORTH_SHARING_SECONDS,
    ) -> None:
        """Load the model.

        Args:
            streams: runs that may compute at once; further ones wait.
            threads: cores that one run may use.
            lone_threads: cores that a lone run may use.
            options: further properties of OpenVINO's CPU plugin; they override ours.
            one_by_one: fix a dynamic batch at one image, which is faster; ``run`` then runs the
                images of a batch one after another.
            exact_int8: see ``multiplies_int8_exactly``; None: find out.
            worth_seconds: duration of a run from which a second model is compiled.

        Raises:
            ManifestMismatch: if the file is not a model, or the manifest does not describe it.
            ProviderMissing: if the processor lacks the precision, OpenVINO an option, or INT8
                weights would overflow.
        """
        if exact_int8 is None:
            exact_int8 = multiplies_int8_exactly()
        core = ov.Core()
        check_precision(precision, core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        network = _read(model)
        given = graph_input(manifest.input)
        given.check(_tensors(network.inputs))
        check_output(_tensors(network.outputs), manifest)
        if not exact_int8 and _may_overflow(network):
            raise ProviderMissing(
                f"inference.provider: {Provider.OPENVINO} would overflow on this processor, which "
                "lacks VNNI: the model has INT8 weights of more than 7 bits. Use provider cpu, or "
                "optimise the model with potoo models optimise"
            )
        batch = manifest.input.batch
        self._batch = None if batch == "dynamic" else batch
        self._one_by_one = one_by_one and self._batch is None
        properties = {
            "INFERENCE_PRECISION_HINT": str(precision),
            "ENABLE_CPU_PINNING": "NO",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
            **options,
        }
        if self._one_by_one:
            _reshape(network, given)
        several = {"NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": str(streams * threads)}
        self._runner = _Runner(_compile(core, network, {**several, **properties}), manifest)
        self._lone_runner = self._runner
        self.output_shape: tuple[int, ...] = ()
        may_share = lone_threads > threads
        # Other threads compute; this one waits for them.
        clock = time.perf_counter
        if may_share and seconds_of_run(self.run, given.blank(1), clock) >= worth_seconds:
            one = {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(lone_threads)}
            self._lone_runner = _Runner(_compile(core, network, {**one, **properties}), manifest)

    @property
    def takes_pixels(self) -> bool:
        """Never: pixels are normalised before the graph."""
        return False

    @property
    def max_batch_size(self) -> int | None:
        """The fixed batch size of the graph, or None."""
        return self._batch

    @property
    def shares_cores(self) -> bool:
        """Whether a lone run gets more cores than others."""
        return self._lone_runner is not self._runner

    def run(self, images: Images, *, alone: bool = False) -> Outputs:
        """Run the model (see ``Engine.run``); pad a partial batch with zeros to the fixed size."""
        if self._one_by_one and len(images) != 1:
            rows = [self.run(images[row : row + 1], alone=alone) for row in range(len(images))]
            return np.concatenate(rows)
        output = run_filled(partial(self._run, alone=alone), images, self._batch)
        self.output_shape = output.shape[1:]
        return output.reshape(len(output), -1)

    def _run(self, batch: Images, *, alone: bool) -> Outputs:
        try:
            return (self._lone_runner if alone else self._runner).run(batch)
        except Exception as error:  # noqa: BLE001 - as its cause, in one line
            raise InferenceFailed from RuntimeError(_last_line(error))

    def shrink(self) -> None:
        """Free nothing: OpenVINO keeps its memory."""

    def close(self) -> None:
        """Drop the compiled models. May be repeated."""
        self.__dict__.pop("_runner", None)
        self.__dict__.pop("_lone_runner", None)


class _Runner:
    """A compiled model with its idle requests; ``run`` may be called from several threads."""

    def __init__(self, compiled: ov.CompiledModel, manifest: ModelManifest) -> None:
        self._compiled = compiled
        self._input, self._output = manifest.input.name, manifest.output.name
        self._idle: list[ov.InferRequest] = []  # popping and appending are atomic

    def run(self, images: Images) -> Outputs:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        results = request.infer({self._input: images}, share_inputs=True)
        output: Outputs = results[self._output]  # a copy
        self._idle.append(request)
        return output


class _Tensor(NamedTuple):
    """An input or output of the graph in ONNX Runtime's words (see ``GraphTensor``)."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def check_precision(precision: Precision, capabilities: Iterable[str]) -> None:
    """Check that the processor computes in this precision natively.

    Args:
        capabilities: what OpenVINO says of the device (``OPTIMIZATION_CAPABILITIES``).

    Raises:
        ProviderMissing: if it would be emulated, which is slower than float32, or ignored.
    """
    if precision is Precision.BF16 and "BF16" not in capabilities:
        raise ProviderMissing(
            "inference.precision: bf16 is not native on this processor "
            "(it needs AVX512-BF16 or AMX): use f32"
        )


def _read(model: Path) -> ov.Model:
    try:
        # By its name: ``Core.read_model`` would offer the file to the reader of every format.
        reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
        return reader.convert(reader.load(str(model)))
    except Exception as error:
        message = f"OpenVINO cannot load the file: {_last_line(error)}"
        raise ManifestMismatch("sha256", message) from error


def _reshape(network: ov.Model, given: GraphInput) -> None:
    """Fix the batch at one image."""
    try:
        network.reshape(
            {name: list(one.shape) for name, one in given.feeds(given.blank(1)).items()}
        )
    except Exception as error:
        message = f"OpenVINO cannot set a batch of 1: {_last_line(error)}"
        raise ManifestMismatch("input.batch", message) from error


def _may_overflow(network: ov.Model) -> bool:
    """Return whether INT8 weights have more than 7 bits, beyond those of depthwise convolutions.

    Depthwise kernels add in 32 bits. ONNX Runtime has a setting for exact sums, OpenVINO has none.
    """
    for node in network.get_ops():
        if node.get_type_name() != "Constant" or node.get_element_type().get_type_name() != "i8":
            continue
        weights = node.data
        is_depthwise = weights.ndim == 4 and weights.shape[0] > 1 and weights.shape[1] == 1
        if weights.ndim > 1 and not is_depthwise and np.abs(weights.astype(np.int16)).max() > 64:
            return True
    return False


def _compile(core: ov.Core, network: ov.Model, properties: dict[str, str]) -> ov.CompiledModel:
    try:
        return core.compile_model(network, "CPU", properties)
    except Exception as error:
        raise ProviderMissing(
            f"inference.provider: {Provider.OPENVINO} cannot compile the model, or does not know "
            f"inference.provider_options: {_last_line(error)}"
        ) from error


def _tensors(ports: Iterable[ov.Output]) -> list[_Tensor]:
    return [_Tensor(port.any_name, _onnx_type(port), _sizes(port.partial_shape)) for port in ports]


def _onnx_type(port: ov.Output) -> str:
    name: str = port.element_type.get_type_name()
    return _ONNX_TYPES.get(name, name)


def _sizes(shape: ov.PartialShape) -> list[int | str | None]:
    if shape.rank.is_dynamic:
        return []
    return [None if size.is_dynamic else size.get_length() for size in shape]


def _last_line(error: Exception) -> str:
    """Return the end of a message, which says most; OpenVINO begins with the lines of its code."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    return lines[-1] if lines else type(error).__name__
