"""The Open Inference Protocol V2 over REST, with Triton's extensions, as JSON.

The bodies of ``infer`` are read and written by hand, for speed and because they may be binary; what
stands here of them is for the OpenAPI document.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ModelState = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
PLATFORM = "onnxruntime_onnx"


class Datatype(StrEnum):
    """The protocol's names."""

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
    """Every refusal and failure below `/v2`, of KServe V1, and of TensorFlow Serving."""

    error: str = Field(examples=["No model of that name is served."])


class ServerLive(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class ServerReady(BaseModel):
    """Every model answers, and tokens can be checked. Clients differ in the member they read."""

    live: Literal[True] = True
    ready: Literal[True] = True


class ServerMetadataV2(BaseModel):
    """What answers here, and which extensions of the protocol it knows."""

    name: str = Field(examples=["potoo"])
    version: str
    extensions: list[str]


class ModelReady(BaseModel):
    """The model is warm and its canary passes."""

    name: str
    ready: Literal[True] = True


class ModelNames(BaseModel):
    """The models that you may use."""

    models: list[str]


class TensorMetadata(BaseModel):
    """A tensor that goes in or comes out."""

    name: str = Field(examples=["image"])
    datatype: Datatype
    shape: list[int] = Field(description="-1: any number.", examples=[[-1, 3, 224, 224]])


class ModelMetadata(BaseModel):
    """A model's tensors."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigInput(BaseModel):
    """`ModelInput`; `dims` leave the batch out."""

    name: str
    data_type: str = Field(examples=["TYPE_FP32"])
    format: str = Field(examples=["FORMAT_NCHW"])
    dims: list[int]


class ConfigOutput(BaseModel):
    """`ModelOutput`; `dims` leave the batch out."""

    name: str
    data_type: str = Field(examples=["TYPE_FP32"])
    dims: list[int]
    label_filename: str


class DynamicBatching(BaseModel):
    """`ModelDynamicBatching`."""

    preferred_batch_size: list[int]
    max_queue_delay_microseconds: int


class ModelConfig(BaseModel):
    """`ModelConfig` of Triton, as far as it means something here."""

    name: str
    platform: str
    backend: str
    max_batch_size: int = Field(description="Items that one request may hold.")
    input: list[ConfigInput]
    output: list[ConfigOutput]
    dynamic_batching: DynamicBatching


class StatisticDuration(BaseModel):
    """How often, and how many nanoseconds altogether."""

    count: int
    ns: int


class InferenceStatistics(BaseModel):
    """Where requests' time went; of several rows that went side by side, the slowest one's."""

    success: StatisticDuration
    fail: StatisticDuration
    queue: StatisticDuration
    compute_input: StatisticDuration
    compute_infer: StatisticDuration
    compute_output: StatisticDuration


class BatchStatistics(BaseModel):
    """Runs of one batch size."""

    batch_size: int
    compute_input: StatisticDuration
    compute_infer: StatisticDuration
    compute_output: StatisticDuration


class ModelStatistics(BaseModel):
    """Since the model was loaded, of the process that answers."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since the epoch; 0 if there was none.")
    inference_count: int = Field(description="Items answered.")
    execution_count: int = Field(description="Runs of the network.")
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class StatisticsResponse(BaseModel):
    """Of one model, or of all that you may use."""

    model_stats: list[ModelStatistics]


class RepositoryModel(BaseModel):
    """One version in the repository."""

    name: str
    version: str
    state: ModelState
    reason: str = Field(description="Why it is not ready, if it is not.")


class RepositoryIndexRequest(BaseModel):
    """May be left out altogether."""

    model_config = ConfigDict(strict=True)

    ready: bool = Field(default=False, description="Only those that are ready.")


class RepositoryChange(BaseModel):
    """Parameters of loading and unloading; may be left out altogether."""

    parameters: dict[str, bool | int | float | str] = {}


Parameters = dict[str, bool | int | float | str]


class InferInput(BaseModel):
    """A tensor that goes in: `data`, or `parameters.binary_data_size` bytes behind the JSON."""

    name: str = Field(examples=["image"])
    shape: list[int] = Field(examples=[[1, 3, 32, 32]], max_length=8)
    datatype: Datatype
    parameters: Parameters = {}
    data: list[object] | None = Field(
        default=None, description="Values, flat or nested as the shape says."
    )


class InferOutputRequest(BaseModel):
    """An output that is wanted."""

    name: str
    parameters: Parameters = Field(
        default={},
        description="`binary_data` (true: behind the JSON), `classification` (so many best ones).",
    )


class InferRequestBody(BaseModel):
    """The JSON of a request; unknown members are ignored."""

    id: str = Field(default="", description="Echoed.")
    parameters: Parameters = Field(
        default={},
        description="`binary_data_output`, `priority` (1: interactive, 0: normal, larger: bulk), "
        "`timeout` (microseconds).",
    )
    inputs: list[InferInput]
    outputs: list[InferOutputRequest] = Field(default=[], description="All of them if left out.")


class InferOutput(BaseModel):
    """A tensor that comes out; `data` unless it is binary."""

    name: str
    shape: list[int]
    datatype: Datatype
    parameters: Parameters = {}
    data: list[object] | None = None


class InferResponseBody(BaseModel):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    id: str = ""
    outputs: list[InferOutput]
