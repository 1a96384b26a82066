"""What the endpoints of other servers take and answer: KServe V1, TensorFlow Serving, TorchServe.

The bodies of calls are read and written by hand; what stands here of them is for the OpenAPI
document.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Values = list[object]


class Base64Value(BaseModel):
    """An encoded image."""

    b64: str = Field(description="The image file in base64.")


class Rows(BaseModel):
    """Inputs in rows; unknown members are ignored."""

    instances: list[Values | Base64Value | dict[str, Values | Base64Value]] = Field(
        description="Tensors of one item in nested lists, or encoded images; bare, or each as the "
        "only member of an object: a tensor by the input's name, an image by any.",
        min_length=1,
    )


class RowAnswers(BaseModel):
    """The model's raw output for every row."""

    predictions: list[object]


class Columns(BaseModel):
    """Inputs in columns; unknown members are ignored."""

    inputs: Values | Base64Value | dict[str, Values | Base64Value] = Field(
        description="One tensor of all items in nested lists, or a list of encoded images; bare, "
        "or as the only member of an object."
    )


class ColumnAnswers(BaseModel):
    """The model's raw output for the whole batch."""

    outputs: list[object]


class Examples(BaseModel):
    """Images to be classified; unknown members are ignored."""

    examples: list[dict[str, object]] = Field(
        description='Each with one image as `{"b64": ...}`; other features are ignored.',
        min_length=1,
        examples=[[{"image/encoded": {"b64": "..."}}]],
    )


class ExampleAnswers(BaseModel):
    """Label and calibrated probability of the best classes of every example, best first."""

    results: list[list[tuple[str, float]]] = Field(examples=[[[["cup", 0.93], ["ewer", 0.02]]]])


class StatusText(BaseModel):
    """Of a version."""

    error_code: Literal["OK", "UNKNOWN"] = "OK"
    error_message: str = ""


class VersionStatus(BaseModel):
    """Where a version stands."""

    version: str
    state: Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]
    status: StatusText


class ModelVersionStatus(BaseModel):
    """`GetModelStatusResponse`."""

    model_version_status: list[VersionStatus]


class Dimension(BaseModel):
    """An axis; `-1` for any length."""

    size: str
    name: str = ""


class TensorShape(BaseModel):
    """Axes."""

    dim: list[Dimension]
    unknown_rank: bool = False


class TensorInfo(BaseModel):
    """A tensor that goes in or comes out."""

    dtype: str = Field(examples=["DT_FLOAT"])
    tensor_shape: TensorShape
    name: str


class SignatureDef(BaseModel):
    """Inputs and outputs by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method_name: str = "tensorflow/serving/predict"


class SignatureDefs(BaseModel):
    """By name; there is one, `serving_default`."""

    signature_def: dict[str, SignatureDef]


class SignatureMetadata(BaseModel):
    """The metadata that there is."""

    signature_def: SignatureDefs


class ModelSpec(BaseModel):
    """Whose it is."""

    name: str
    signature_name: str = ""
    version: str


class ServableMetadata(BaseModel):
    """`GetModelMetadataResponse`."""

    model_spec: ModelSpec
    metadata: SignatureMetadata


class Ping(BaseModel):
    """Whether models answer and tokens can be checked."""

    status: Literal["Healthy", "Partial Healthy", "Unhealthy"]


class TorchServeError(BaseModel):
    """Every refusal and failure of TorchServe."""

    code: int = Field(description="The HTTP status.", examples=[404])
    type: str = Field(examples=["ModelNotFoundException"])
    message: str


class BestClasses(BaseModel):
    """The best class, and the probabilities of the best ones."""

    class_: str = Field(alias="class", examples=["cup"])
    confidence: float = Field(description="The best one's calibrated probability.", ge=0, le=1)
    probabilities: dict[str, float] = Field(
        description="Of the `top_k` best classes, best first.", examples=[{"cup": 0.93}]
    )
