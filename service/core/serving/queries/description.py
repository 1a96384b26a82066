"""Metadata, configuration, statistics and state of models for the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.http.inference import (
    PLATFORM,
    BatchStatistics,
    ConfigInput,
    ConfigOutput,
    Datatype,
    DynamicBatching,
    InferenceStatistics,
    ModelConfig,
    ModelMetadata,
    ModelState,
    ModelStatistics,
    RepositoryModel,
    StatisticDuration,
    TensorMetadata,
)
from schemas.serving import VersionState
from service.core.serving.model import Model
from service.core.serving.registry import Version
from service.core.serving.statistics import Duration

BACKEND = "onnxruntime"


_STATES: dict[VersionState, ModelState] = {
    VersionState.READY: "READY",
    VersionState.LOADING: "LOADING",
    VersionState.UNLOADING: "UNLOADING",
    VersionState.FAILED: "UNAVAILABLE",
    VersionState.UNLOADED: "UNAVAILABLE",
}


def metadata(model: Model, versions: Iterable[int] = ()) -> ModelMetadata:
    """Describe a model's tensors. The batch axis is -1, whatever the graph's own batch is.

    Args:
        versions: the served versions of the model; if empty, its own version.
    """
    form = model.form
    return ModelMetadata(
        name=model.ref.name,
        versions=[str(version) for version in versions] or [str(model.ref.version)],
        platform=PLATFORM,
        inputs=[TensorMetadata(name=form.name, datatype=form.datatype, shape=[-1, *form.shape])],
        outputs=[
            TensorMetadata(
                name=model.manifest.output.name,
                datatype=model.output_datatype,
                shape=[-1, *model.output_shape],
            )
        ],
    )


def config(model: Model, most: int) -> ModelConfig:
    """Describe a model's tensors and batching. ``most``: maximum items in one request."""
    form = model.form
    labels = model.manifest.labels
    policy = model.policy
    return ModelConfig(
        name=model.ref.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=min(most, policy.queue_capacity),
        input=[
            ConfigInput(
                name=form.name,
                data_type=_data_type(form.datatype),
                format=form.layout,
                # Triton has no item without an axis.
                dims=list(form.shape) or [1],
            )
        ],
        output=[
            ConfigOutput(
                name=model.manifest.output.name,
                data_type=_data_type(model.output_datatype),
                dims=list(model.output_shape),
                label_filename=labels if isinstance(labels, str) else "",
            )
        ],
        dynamic_batching=DynamicBatching(
            preferred_batch_size=[policy.max_batch_size],
            max_queue_delay_microseconds=round(policy.max_queue_delay * 1e6),
        ),
    )


def statistics(model: Model) -> ModelStatistics:
    """Return a model's request counts and durations."""
    found = model.statistics
    return ModelStatistics(
        name=model.ref.name,
        version=str(model.ref.version),
        last_inference=found.last_inference_ms,
        inference_count=found.inference_count,
        execution_count=found.execution_count,
        inference_stats=InferenceStatistics(
            success=_duration(found.success),
            fail=_duration(found.fail),
            queue=_duration(found.queue),
            compute_input=_duration(found.compute_input),
            compute_infer=_duration(found.compute_infer),
            compute_output=_duration(found.compute_output),
        ),
        batch_stats=[
            BatchStatistics(
                batch_size=size,
                compute_input=_duration(batch.compute_input),
                compute_infer=_duration(batch.compute_infer),
                compute_output=_duration(batch.compute_output),
            )
            for size, batch in sorted(found.batches.copy().items())
        ],
    )


def entry(name: str, number: int, version: Version) -> RepositoryModel:
    """Build a version's entry of the repository index, with Triton's states."""
    state, reason = _STATES[version.state], version.reason
    if version.model is not None and not version.model.is_ready:
        state, reason = "UNAVAILABLE", "its canary failed"
    return RepositoryModel(name=name, version=str(number), state=state, reason=reason)


def _data_type(datatype: Datatype) -> str:
    """Return a datatype as Triton's configuration names it."""
    return "TYPE_STRING" if datatype is Datatype.BYTES else f"TYPE_{datatype}"


def _duration(duration: Duration) -> StatisticDuration:
    return StatisticDuration(count=duration.count, ns=duration.ns)
