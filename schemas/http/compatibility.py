"""Request and response bodies of KServe V1, TensorFlow Serving and TorchServe.

The models of inference bodies only describe them in the OpenAPI document: the server parses and
writes these bodies without Pydantic.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Values = list[object]


class Base64Value(BaseModel):
    """An encoded image."""

    b64: str = Field(description="The image file in base64.")


class Rows(BaseModel):
    """Inputs in row format; unknown members are ignored."""

    instances: list[Values | Base64Value | dict[str, Values | Base64Value]] = Field(
        description="Nested lists (the tensor of one item) or encoded images; either directly, or "
        "as the only member of an object, keyed by the input's name (images: by any name).",
        min_length=1,
    )


class RowAnswers(BaseModel):
    """Raw model output per row."""

    predictions: list[object]


class Columns(BaseModel):
    """Inputs in column format; unknown members are ignored."""

    inputs: Values | Base64Value | dict[str, Values | Base64Value] = Field(
        description="Nested lists (one tensor of all items) or a list of encoded images; either "
        "directly, or as the only member of an object."
    )


class ColumnAnswers(BaseModel):
    """Raw model output of the whole batch."""

    outputs: list[object]


class Examples(BaseModel):
    """Images to classify; unknown members are ignored."""

    examples: list[dict[str, object]] = Field(
        description='Each holds one image as `{"b64": ...}`; other features are ignored.',
        min_length=1,
        examples=[[{"image/encoded": {"b64": "..."}}]],
    )


class ExampleAnswers(BaseModel):
    """Labels and calibrated probabilities per example, best first."""

    results: list[list[tuple[str, float]]] = Field(examples=[[[["cup", 0.93], ["ewer", 0.02]]]])


class StatusText(BaseModel):
    """Error status of a version."""

    error_code: Literal["OK", "UNKNOWN"] = "OK"
    error_message: str = ""


class VersionStatus(BaseModel):
    """State of a version."""

    version: str
    state: Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]
    status: StatusText


class ModelVersionStatus(BaseModel):
    """`GetModelStatusResponse`."""

    model_version_status: list[VersionStatus]


class Dimension(BaseModel):
    """Length of an axis; `-1` if it is dynamic."""

    size: str
    name: str = ""


class TensorShape(BaseModel):
    """Shape of a tensor."""

    dim: list[Dimension]
    unknown_rank: bool = False


class TensorInfo(BaseModel):
    """An input or output tensor."""

    dtype: str = Field(examples=["DT_FLOAT"])
    tensor_shape: TensorShape
    name: str


class SignatureDef(BaseModel):
    """Inputs and outputs by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method_name: str = "tensorflow/serving/predict"


class SignatureDefs(BaseModel):
    """Signatures by name; the only one is `serving_default`."""

    signature_def: dict[str, SignatureDef]


class SignatureMetadata(BaseModel):
    """Metadata of a model: its signatures."""

    signature_def: SignatureDefs


class ModelSpec(BaseModel):
    """Model and version that the metadata describes."""

    name: str
    signature_name: str = ""
    version: str


class ServableMetadata(BaseModel):
    """`GetModelMetadataResponse`."""

    model_spec: ModelSpec
    metadata: SignatureMetadata


class Ping(BaseModel):
    """Health of the models and of the token check."""

    status: Literal["Healthy", "Partial Healthy", "Unhealthy"]


class TorchServeError(BaseModel):
    """Error body of the TorchServe endpoints."""

    code: int = Field(description="The HTTP status.", examples=[404])
    type: str = Field(examples=["ModelNotFoundException"])
    message: str


class BestClasses(BaseModel):
    """The best class, and the probabilities of the `top_k` best classes."""

    class_: str = Field(alias="class", examples=["cup"])
    confidence: float = Field(description="Calibrated probability of the best class.", ge=0, le=1)
    probabilities: dict[str, float] = Field(
        description="Probabilities of the `top_k` best classes, best first.",
        examples=[{"cup": 0.93}],
    )
