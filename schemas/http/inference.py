"""JSON bodies of the Open Inference Protocol V2 over REST, with Triton's extensions.

The models of ``infer`` bodies only describe them in the OpenAPI document: the server parses and
writes these bodies without Pydantic, for speed and because they may hold binary tensors.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ModelState = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
PLATFORM = "onnxruntime_onnx"


class Datatype(StrEnum):
    """Tensor datatypes as the protocol names them."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"


class InferenceError(BaseModel):
    """Error body below `/v2` and of the KServe V1 and TensorFlow Serving endpoints."""

    error: str = Field(examples=["No model of that name is served."])


class ServerLive(BaseModel):
    """The process responds."""

    live: Literal[True] = True


class ServerReady(BaseModel):
    """Every model is ready, and tokens can be checked. Some clients read `live`, some `ready`."""

    live: Literal[True] = True
    ready: Literal[True] = True


class ServerMetadataV2(BaseModel):
    """Name, version and protocol extensions of the server."""

    name: str = Field(examples=["potoo"])
    version: str
    extensions: list[str]


class ModelReady(BaseModel):
    """The model is warm and its canary passes."""

    name: str
    ready: Literal[True] = True


class ModelNames(BaseModel):
    """Names of the models that the caller may use."""

    models: list[str]


class TensorMetadata(BaseModel):
    """An input or output tensor."""

    name: str = Field(examples=["image"])
    datatype: Datatype
    shape: list[int] = Field(description="-1: dynamic axis.", examples=[[-1, 3, 224, 224]])


class ModelMetadata(BaseModel):
    """Input and output tensors of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigInput(BaseModel):
    """`ModelInput`; `dims` excludes the batch axis."""

    name: str
    data_type: str = Field(examples=["TYPE_FP32"])
    format: str = Field(examples=["FORMAT_NCHW"])
    dims: list[int]


class ConfigOutput(BaseModel):
    """`ModelOutput`; `dims` excludes the batch axis."""

    name: str
    data_type: str = Field(examples=["TYPE_FP32"])
    dims: list[int]
    label_filename: str


class DynamicBatching(BaseModel):
    """`ModelDynamicBatching`."""

    preferred_batch_size: list[int]
    max_queue_delay_microseconds: int


class ModelConfig(BaseModel):
    """Triton's `ModelConfig`; fields without a meaning in Potoo are omitted."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="Maximum number of items per request.")
    input: list[ConfigInput]
    output: list[ConfigOutput]
    dynamic_batching: DynamicBatching


class StatisticDuration(BaseModel):
    """Number of events and their total duration in nanoseconds."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """Time per stage. For a request of several rows that ran in parallel: the slowest row's."""

    success: StatisticDuration
    fail: StatisticDuration
    queue: StatisticDuration
    compute_input: StatisticDuration
    compute_infer: StatisticDuration
    compute_output: StatisticDuration


class BatchStatistics(BaseModel):
    """Executions of one batch size."""

    batch_size: int
    compute_input: StatisticDuration
    compute_infer: StatisticDuration
    compute_output: StatisticDuration


class ModelStatistics(BaseModel):
    """Statistics of the responding process since it loaded the model."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since the epoch; 0 if there was none.")
    inference_count: int = Field(description="Number of items inferred.")
    execution_count: int = Field(description="Number of executions of the network.")
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class StatisticsResponse(BaseModel):
    """Statistics of one model, or of all models that the caller may use."""

    model_stats: list[ModelStatistics]


class RepositoryModel(BaseModel):
    """One version in the repository."""

    name: str
    version: str
    state: ModelState
    reason: str = Field(description="Reason why the version is not ready; empty if it is.")


class RepositoryIndexRequest(BaseModel):
    """Optional filter of the index."""

    model_config = ConfigDict(strict=True)

    ready: bool = Field(default=False, description="List only versions that are ready.")


class RepositoryChange(BaseModel):
    """Optional parameters of loading and unloading."""

    parameters: dict[str, bool | int | float | str] = {}


Parameters = dict[str, bool | int | float | str]


class InferInput(BaseModel):
    """An input tensor: `data`, or `parameters.binary_data_size` bytes after the JSON."""

    name: str = Field(examples=["image"])
    shape: list[int] = Field(examples=[[1, 3, 32, 32]], max_length=8)
    datatype: Datatype
    parameters: Parameters = {}
    data: list[object] | None = Field(
        default=None, description="Values, flat or nested according to `shape`."
    )


class InferOutputRequest(BaseModel):
    """A requested output."""

    name: str
    parameters: Parameters = Field(
        default={},
        description="`binary_data` (true: after the JSON), `classification` (number of classes).",
    )


class InferRequestBody(BaseModel):
    """JSON of a request; unknown members are ignored."""

    id: str = Field(default="", description="Returned in the response.")
    parameters: Parameters = Field(
        default={},
        description="`binary_data_output`, `priority` (1: interactive, 0: normal, larger: bulk), "
        "`timeout` (microseconds).",
    )
    inputs: list[InferInput]
    outputs: list[InferOutputRequest] = Field(default=[], description="If absent: all outputs.")


class InferOutput(BaseModel):
    """An output tensor; `data` is absent if it is binary."""

    name: str
    shape: list[int]
    datatype: Datatype
    parameters: Parameters = {}
    data: list[object] | None = None


class InferResponseBody(BaseModel):
    """JSON of a response."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[InferOutput]
