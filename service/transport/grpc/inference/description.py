"""Build the messages that describe the server and its models."""

from __future__ import annotations

from schemas.http.inference import (
    BatchStatistics,
    InferenceStatistics,
    ModelConfig,
    ModelMetadata,
    ModelStatistics,
    RepositoryModel,
    StatisticDuration,
    TensorMetadata,
)
from schemas.pb import open_inference_pb2 as pb
from service import __version__
from service.transport.open_inference.inference_parameters import EXTENSIONS, SERVER


def server() -> pb.ServerMetadataResponse:
    """Return the server's name, version and protocol extensions."""
    return pb.ServerMetadataResponse(name=SERVER, version=__version__, extensions=EXTENSIONS)


def metadata(found: ModelMetadata) -> pb.ModelMetadataResponse:
    """Return a model's versions, platform and tensors."""
    return pb.ModelMetadataResponse(
        name=found.name,
        versions=found.versions,
        platform=found.platform,
        inputs=map(_tensor, found.inputs),
        outputs=map(_tensor, found.outputs),
    )


def config(found: ModelConfig) -> pb.ModelConfigResponse:
    """Return a model's tensors, backend and batching settings."""
    return pb.ModelConfigResponse(
        config=pb.ModelConfig(
            name=found.name,
            platform=found.platform,
            backend=found.backend,
            max_batch_size=found.max_batch_size,
            input=[
                pb.ModelInput(
                    name=one.name,
                    data_type=one.data_type,
                    format=one.format,
                    dims=one.dims,
                )
                for one in found.input
            ],
            output=[
                pb.ModelOutput(
                    name=one.name,
                    data_type=one.data_type,
                    dims=one.dims,
                    label_filename=one.label_filename,
                )
                for one in found.output
            ],
            dynamic_batching=pb.ModelDynamicBatching(
                preferred_batch_size=found.dynamic_batching.preferred_batch_size,
                max_queue_delay_microseconds=found.dynamic_batching.max_queue_delay_microseconds,
            ),
        )
    )


def statistics(found: ModelStatistics) -> pb.ModelStatistics:
    """Return a model's request counts and the time spent in each stage."""
    return pb.ModelStatistics(
        name=found.name,
        version=found.version,
        last_inference=found.last_inference,
        inference_count=found.inference_count,
        execution_count=found.execution_count,
        inference_stats=_course(found.inference_stats),
        batch_stats=map(_batch, found.batch_stats),
    )


def entry(found: RepositoryModel) -> pb.RepositoryIndexResponse.ModelIndex:
    """Return a version's entry in the repository index."""
    return pb.RepositoryIndexResponse.ModelIndex(
        name=found.name, version=found.version, state=found.state, reason=found.reason
    )


def _tensor(found: TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=found.name, datatype=found.datatype, shape=found.shape
    )


def _course(found: InferenceStatistics) -> pb.InferStatistics:
    return pb.InferStatistics(
        success=_duration(found.success),
        fail=_duration(found.fail),
        queue=_duration(found.queue),
        compute_input=_duration(found.compute_input),
        compute_infer=_duration(found.compute_infer),
        compute_output=_duration(found.compute_output),
    )


def _batch(found: BatchStatistics) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=found.batch_size,
        compute_input=_duration(found.compute_input),
        compute_infer=_duration(found.compute_infer),
        compute_output=_duration(found.compute_output),
    )


def _duration(found: StatisticDuration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=found.count, ns=found.ns)
