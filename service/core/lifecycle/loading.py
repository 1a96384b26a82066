"""Loading of one model version: read, check against the graph, warm up."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from observability.logs.logging import get_logger
from observability.metrics.metrics import Metrics
from schemas.errors import ServiceError
from schemas.manifest.model_input import Dtype, InputSpec
from schemas.models import MODEL_FILE, ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pool import WorkerPool
from service.core.engine.providers import Precision, Provider, ProviderMissing, check_installed
from service.core.engine.shared_base import SharedBases
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.resizers import Resizer, best_resizer
from service.core.lifecycle.base_sharing import with_shared_base
from service.core.lifecycle.scalers import with_scaler
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_labels, read_manifest
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.serving.checks.independence import (
    MAX_TRIED_BATCH,
    TRAINING_MODE,
    is_repeatable,
    row_dependence,
)
from service.core.serving.checks.pixel_check import pixel_difference
from service.core.serving.kinds.kind import Kind
from service.core.serving.kinds.opening import open_kind
from service.core.serving.model import Model
from service.core.settings import RunSettings
from service.core.text.tokenizer import OpenTokenizer, open_tokenizer

_OF_OPENVINO = {"image", "series"}
"""Kinds of input; it would compute float64 in float32."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Run settings of a model, limits on its images, their resizer, and the tokenizers.

    ``repository``: where its scaler is; None for the repository that the version is in.
    ``bases``: those that taught versions share; None: each has its own.
    """

    limits: ImageLimits
    run: RunSettings
    resizer: Resizer = field(default_factory=best_resizer)
    open_tokenizer: OpenTokenizer = open_tokenizer
    repository: Path | None = None
    bases: SharedBases | None = None


def load_model(folder: Path, pool: WorkerPool, options: ModelOptions, metrics: Metrics) -> Model:
    """Load and warm up one version. Blocks; any thread may call.

    Raises:
        ModelRefused: the manifest is wrong or does not fit the graph (the message names the field),
            the provider is missing, or the model cannot run.
    """
    manifest = read_manifest(folder)
    try:
        manifest, scaler = with_scaler(manifest, options.repository or folder.parent.parent)
        labels = read_labels(folder, manifest)
        engine = open_engine(folder, manifest, options.run, pool.size)
        kind = open_kind(
            folder,
            manifest,
            options.limits,
            options.resizer,
            options.open_tokenizer,
            takes_pixels=engine.takes_pixels,
            scaler=scaler,
        )
        if options.bases is not None:
            engine = with_shared_base(
                engine,
                kind,
                folder,
                manifest,
                options.run,
                options.bases,
                lambda of_base: open_engine(folder, of_base, options.run, pool.size),
            )
        model = Model(
            folder,
            manifest,
            labels,
            kind,
            engine,
            pool,
            _fitting_policy(engine, kind, manifest, _policy(kind, options.run)),
            metrics.models.version(
                manifest.name,
                manifest.version,
                manifest.sha256,
                provider=options.run.provider,
                precision=options.run.precision,
            ),
        )
        model.warm_up()
    except (ManifestMismatch, ProviderMissing) as error:
        raise ModelRefused(f"{folder}: {error}") from error
    except ServiceError as error:
        reason = error.__cause__ or "its output is not finite"
        raise ModelRefused(f"{folder}: {MODEL_FILE} cannot run: {reason}") from error
    return model


def open_engine(folder: Path, manifest: ModelManifest, run: RunSettings, workers: int) -> Engine:
    """Load the graph into the engine that the settings name.

    Raises:
        ManifestMismatch: the manifest does not fit the graph.
        ProviderMissing: the engine is not installed, or lacks what the settings ask for or the
            model takes.
    """
    lone_threads = run.threads_alone or workers
    if run.provider is Provider.OPENVINO:
        if manifest.input.kind not in _OF_OPENVINO:
            raise ProviderMissing(
                f"inference.provider: {run.provider} runs models of images and of windows of "
                f"samples; this one takes {manifest.input.takes}: use provider cpu"
            )
        check_installed(run.provider)
        from service.core.engine.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(
            folder / MODEL_FILE,
            manifest,
            streams=workers,
            threads=run.threads_per_run,
            lone_threads=lone_threads,
            precision=run.precision,
            options=run.provider_options,
            one_by_one=run.batch_policy.max_batch_size == 1,
        )
    if run.precision is not Precision.F32:
        raise ProviderMissing(
            f"inference.precision: {run.precision} needs inference.provider openvino, "
            f"not {run.provider}"
        )
    return _onnx_engine(folder, manifest, run, lone_threads)


def _onnx_engine(
    folder: Path, manifest: ModelManifest, run: RunSettings, lone_threads: int
) -> OnnxEngine:
    """Open the engine; it normalises pixels itself if its answers are those to tensors.

    Raises:
        ManifestMismatch, ProviderMissing: see ``OnnxEngine``.
    """

    def opened(*, pixels: bool) -> OnnxEngine:
        return OnnxEngine(
            folder / MODEL_FILE,
            manifest,
            threads=run.threads_per_run,
            lone_threads=lone_threads,
            provider=run.provider,
            provider_options=run.provider_options,
            pixels=pixels,
        )

    spec = manifest.input
    if not isinstance(spec, InputSpec):
        return opened(pixels=False)
    engine = opened(pixels=spec.dtype is Dtype.FLOAT32 and spec.scaler is None)
    reason = engine.no_pixels_reason
    if engine.takes_pixels and (reason := pixel_difference(engine, spec)):
        engine.close()
        engine = opened(pixels=False)
    if reason:
        get_logger("models").info(
            "pixels are normalised before the graph",
            model=manifest.name,
            version=manifest.version,
            reason=reason,
        )
    return engine


def _policy(kind: Kind, run: RunSettings) -> BatchPolicy:
    """Return the batching settings of a model."""
    policy = run.batch_policy
    is_chosen = run.max_batch_size or run.provider is not Provider.CPU
    if is_chosen or kind.most_together is None:
        return policy
    return replace(policy, max_batch_size=kind.most_together)


def _fitting_policy(
    engine: Engine, kind: Kind, manifest: ModelManifest, policy: BatchPolicy
) -> BatchPolicy:
    """Return the policy for this graph: single rows if they depend on each other.

    Raises:
        ManifestMismatch: they do and the batch is fixed, or answers depend on earlier images.
        InferenceFailed: the graph does not run.
    """
    if not is_repeatable(engine, kind):
        raise ManifestMismatch(
            "sha256",
            f"the graph answers the same {kind.item} differently each time: {TRAINING_MODE}",
        )
    fixed = engine.max_batch_size
    limit = fixed or policy.max_batch_size
    if kind.most_in_batch is not None:
        return _policy_of_chunks(engine, kind, policy)
    reason = row_dependence(engine, kind, limit) if limit > 1 else None
    if reason is None:
        return policy
    if fixed:
        raise ManifestMismatch("input.batch", f"is {fixed}, but {reason}")
    get_logger("models").warning(
        f"{kind.item}s run one by one", model=manifest.name, version=manifest.version, reason=reason
    )
    return policy.up_to(1)


def _policy_of_chunks(engine: Engine, kind: Kind, policy: BatchPolicy) -> BatchPolicy:
    """Return the policy of a kind whose items are chunks of rows.

    Raises:
        ManifestMismatch: rows of a chunk depend on each other.
    """
    limit = engine.max_batch_size or MAX_TRIED_BATCH
    if limit > 1 and (reason := row_dependence(engine, kind, limit)):
        raise ManifestMismatch("sha256", reason)
    return policy.up_to(kind.most_in_batch)
