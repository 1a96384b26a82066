"""The ONNX Runtime engine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, cast

import numpy as np

from observability.logs.logging import get_logger
from observability.onnx_runtime import errors_that_are_only_logged, ort
from schemas.errors import InferenceFailed
from schemas.manifest.model_input import InputSpec
from schemas.models import ModelManifest
from service.core.engine.engine import WORTH_SHARING_SECONDS, Images, Outputs
from service.core.engine.graph_check import ManifestMismatch, check_output
from service.core.engine.inputs.graph_input import graph_input
from service.core.engine.onnx_wire import Value
from service.core.engine.pixel_prefix import PIXELS, TENSORS, NoPixels, PixelModel, with_pixels
from service.core.engine.providers import Chain, Provider, chain, check_in_use
from service.core.engine.runs import run_filled, seconds_of_run

_EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_SHRINK = "memory.enable_memory_arena_shrinkage"
_HIDES_TRAINING_MODE = ("EliminateDropout",)
"""Optimiser to turn off: it removes Dropout in training mode too, unless that reads the graph's
input. Then the answers repeat, and the checks at load cannot find it."""


class OnnxEngine:
    """An engine of ONNX Runtime sessions with explicit thread counts.

    One thread per run, the default, is the fastest way to keep several cores busy with one image
    each; ONNX Runtime's own default would use every core for every image and let them spin. If runs
    of the model take long enough, a second session uses all the cores for an image that is alone.
    """

    def __init__(
        self,
        model: Path,
        manifest: ModelManifest,
        *,
        threads: int = 1,
        lone_threads: int = 1,
        provider: Provider = Provider.CPU,
        provider_options: Mapping[str, str] = MappingProxyType({}),
        worth_seconds: float = WORTH_SHARING_SECONDS,
        pixels: bool = False,
    ) -> None:
        """Load the model.

        Args:
            pixels: normalise in the graph if that is possible, so that ``run`` takes pixels too;
                on CPUs only. Else ``no_pixels_reason`` says why not.
            threads: cores that one run may use.
            lone_threads: cores that a lone run may use; on CPUs only.
            provider: execution provider; ``provider_options`` are passed to it.
            worth_seconds: duration of a run from which a second session is created.

        Raises:
            ManifestMismatch: if the file is not a model, or the manifest does not describe it.
            ProviderMissing: if the provider is not installed or does not start.
        """
        where = chain(provider, provider_options)
        self.no_pixels_reason: str | None = None
        self._given: Value | None = None
        """The graph's input, if pixels may enter beside it."""
        source: Path | bytes = model
        spec = manifest.input
        if pixels and isinstance(spec, InputSpec):
            self._no_pixels = np.empty((0, *_pixel_shape(spec)), np.uint8)
            self._no_tensors = np.empty((0, *spec.shape), np.float32)
            if found := self._pixel_model(model, spec, provider):
                source, self._given = found.data, found.given
        try:
            self._session = _first_session(source, model.parent, threads, provider, where)
        except ManifestMismatch as error:
            if self._given is None:
                raise
            self.no_pixels_reason, self._given, source = str(error), None, model
            self._session = _first_session(model, model.parent, threads, provider, where)
        check_in_use(self._session, provider)
        self._lone_session = self._session
        self._input = graph_input(spec)
        self._input.check(self._inputs())
        check_output(self._session.get_outputs(), manifest)
        self._outputs = [manifest.output.name]
        self._batch = None if spec.batch == "dynamic" else spec.batch
        self._is_on_cpu = provider is Provider.CPU
        self._lone_has_run = False
        self.output_shape: tuple[int, ...] = ()
        may_share = provider is Provider.CPU and lone_threads > threads
        # Of this thread only: it may be of low priority and have to wait for others.
        clock = time.thread_time
        if may_share and seconds_of_run(self.run, self._input.blank(1), clock) >= worth_seconds:
            self._lone_session = _session(source, model.parent, lone_threads, where)

    @property
    def takes_pixels(self) -> bool:
        """Whether ``run`` takes pixels too: see ``pixel_prefix``."""
        return self._given is not None

    @property
    def max_batch_size(self) -> int | None:
        """The fixed batch size of the graph, or None."""
        return self._batch

    def run(self, images: Images, *, alone: bool = False) -> Outputs:
        """Run the model (see ``Engine.run``); pad a partial batch with zeros to the fixed size."""
        output = run_filled(partial(self._run, alone=alone), images, self._batch)
        self.output_shape = output.shape[1:]
        return output.reshape(len(output), -1)

    def shrink(self) -> None:
        """Free the memory of past runs (see ``Engine.shrink``); on CPUs only.

        ONNX Runtime does so only at the end of a run, so a blank image is run.
        """
        if not self._is_on_cpu:
            return
        options = ort.RunOptions()
        options.add_run_config_entry(_SHRINK, "cpu:0")
        blank = self._input.blank(self._batch or 1)
        self._run(blank, alone=False, options=options)
        if self._lone_has_run:
            self._run(blank, alone=True, options=options)
            self._lone_has_run = False

    def _run(self, batch: Images, *, alone: bool, options: ort.RunOptions | None = None) -> Outputs:
        try:
            session = self._lone_session if alone else self._session
            if session is not self._session:
                self._lone_has_run = True
            outputs = session.run(self._outputs, self._feeds(batch), options)
        except Exception as error:
            raise InferenceFailed from error
        return cast("Outputs", outputs[0])

    def _feeds(self, images: Images) -> dict[str, Images]:
        if self._given is None:
            return self._input.feeds(images)
        if images.dtype == np.uint8:
            return {PIXELS: images, TENSORS: self._no_tensors}
        return {PIXELS: self._no_pixels, TENSORS: images}

    def _pixel_model(self, model: Path, spec: InputSpec, provider: Provider) -> PixelModel | None:
        """Write the pixels' input in front of the model; note the reason if that fails."""
        if provider is not Provider.CPU:
            self.no_pixels_reason = f"inference.provider is {provider}"
            return None
        try:
            return with_pixels(model, spec)
        except NoPixels as error:
            self.no_pixels_reason = str(error)
        except OSError as error:  # the session says it better
            self.no_pixels_reason = f"the model cannot be read: {error}"
        return None

    @property
    def shares_cores(self) -> bool:
        """Whether a lone run gets more cores than others."""
        return self._lone_session is not self._session

    def close(self) -> None:
        """Drop the sessions. May be repeated."""
        self.__dict__.pop("_session", None)
        self.__dict__.pop("_lone_session", None)

    def _inputs(self) -> list[_Input]:
        """Return the inputs of the graph as it is in the file."""
        nodes = [_Input(node.name, node.type, node.shape) for node in self._session.get_inputs()]
        if self._given is None:
            return nodes
        given = self._given
        return [
            _Input(given.name, node.type, given.shape) if node.name == TENSORS else node
            for node in nodes
            if node.name != PIXELS
        ]


class _Input(NamedTuple):
    """An input of a graph; see ``GraphTensor``."""

    name: str
    type: str
    shape: Sequence[int | str | None]


def _pixel_shape(spec: InputSpec) -> tuple[int, int, int]:
    return spec.height, spec.width, spec.colour.channels


def _first_session(
    model: Path | bytes, folder: Path, threads: int, provider: Provider, providers: Chain
) -> ort.InferenceSession:
    """Open a session; log why the provider fails to start, if it does."""
    if provider is Provider.CPU:
        return _session(model, folder, threads, providers)
    with errors_that_are_only_logged() as errors:
        session = _session(model, folder, threads, providers)
    for error in errors:
        get_logger("models").warning("provider failed", provider=provider, reason=error)
    return session


def _session(
    model: Path | bytes, folder: Path, threads: int, providers: Chain
) -> ort.InferenceSession:
    """Open a session on a file, or on a model in memory whose external data is in ``folder``."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # On x86 without VNNI, INT8 weights that need more than 7 bits would silently clip sums.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if isinstance(model, bytes):
        options.add_session_config_entry(_EXTERNAL_DATA_FOLDER, str(folder))
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = ort.InferenceSession(
            source, options, providers=providers, disabled_optimizers=_HIDES_TRAINING_MODE
        )
    except Exception as error:
        message = f"ONNX Runtime cannot load the file: {error}"
        raise ManifestMismatch("sha256", message) from error
    # It would keep the whole model, to start again if another provider than the CPU's failed.
    vars(session).pop("_model_bytes", None)
    return session
