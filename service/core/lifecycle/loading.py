"""Loading of one model version: read, check against the graph, warm up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from observability.logging import get_logger
from observability.metrics import Metrics
from schemas.errors import ServiceError
from schemas.models import MODEL_FILE, ModelManifest
from service.core.engine.engine import Engine
from service.core.engine.onnx_engine import ManifestMismatch, OnnxEngine
from service.core.engine.pool import WorkerPool
from service.core.engine.providers import ProviderMissing
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_labels, read_manifest
from service.core.scheduling.batch_policy import BatchPolicy
from service.core.serving.independence import TRAINING_MODE, is_repeatable, row_dependence
from service.core.serving.model import Model
from service.core.settings import RunSettings


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Run settings of a model, and limits on its images."""

    limits: ImageLimits
    run: RunSettings


def load_model(folder: Path, pool: WorkerPool, options: ModelOptions, metrics: Metrics) -> Model:
    """Load and warm up one version. Blocks; any thread may call.

    Raises:
        ModelRefused: the manifest is wrong or does not fit the graph (the message names the field),
            the provider is missing, or the model cannot run.
    """
    manifest = read_manifest(folder)
    try:
        labels = read_labels(folder, manifest)
        engine = OnnxEngine(
            folder / MODEL_FILE,
            manifest,
            threads=options.run.threads_per_run,
            lone_threads=options.run.threads_alone or pool.size,
            provider=options.run.provider,
            provider_options=options.run.provider_options,
        )
        model = Model(
            folder,
            manifest,
            labels,
            Preprocessor(manifest.input, options.limits),
            engine,
            pool,
            _fitting_policy(engine, manifest, options.run.batch_policy),
            metrics.models.version(manifest.name, manifest.version, manifest.sha256),
        )
        model.warm_up()
    except (ManifestMismatch, ProviderMissing) as error:
        raise ModelRefused(f"{folder}: {error}") from error
    except ServiceError as error:
        reason = error.__cause__ or "its output is not finite"
        raise ModelRefused(f"{folder}: {MODEL_FILE} cannot run: {reason}") from error
    return model


def _fitting_policy(engine: Engine, manifest: ModelManifest, policy: BatchPolicy) -> BatchPolicy:
    """Return the policy for this graph: single rows if they depend on each other.

    Raises:
        ManifestMismatch: they do and the batch is fixed, or answers depend on earlier images.
        InferenceFailed: the graph does not run.
    """
    if not is_repeatable(engine, manifest.input):
        raise ManifestMismatch(
            "sha256", f"the graph answers the same image differently each time: {TRAINING_MODE}"
        )
    fixed = engine.max_batch_size
    limit = fixed or policy.max_batch_size
    reason = row_dependence(engine, manifest.input, limit) if limit > 1 else None
    if reason is None:
        return policy
    if fixed:
        raise ManifestMismatch("input.batch", f"is {fixed}, but {reason}")
    get_logger("models").warning(
        "images run one by one", model=manifest.name, version=manifest.version, reason=reason
    )
    return policy.up_to(1)
