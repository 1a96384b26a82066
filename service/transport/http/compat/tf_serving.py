"""TensorFlow Serving's REST API: ``:predict``, ``:classify``, metadata, status of versions.

The status of a whole model, ``GET /v1/models/{name}``, is missing: Potoo's own route has this path.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path
from starlette.requests import Request
from starlette.responses import Response

from auth.principal import Scope
from schemas.classify import MAX_TOP_K
from schemas.errors import ModelNotFound
from schemas.http.compatibility import (
    ColumnAnswers,
    Columns,
    Dimension,
    ExampleAnswers,
    Examples,
    ModelSpec,
    ModelVersionStatus,
    RowAnswers,
    Rows,
    ServableMetadata,
    SignatureDef,
    SignatureDefs,
    SignatureMetadata,
    StatusText,
    TensorInfo,
    TensorShape,
    VersionStatus,
)
from schemas.http.inference import Datatype, TensorMetadata
from schemas.serving import VersionState
from service.transport.dependencies import (
    ClassifierDep,
    call_context,
    require_model,
    requires,
    runtime_of,
)
from service.transport.http.compat.calls import classify_examples, predict
from service.transport.http.compat.operation import TAG, add_call, errors
from service.transport.http.middleware.compression import ENCODINGS
from service.transport.http.middleware.error_formats import ErrorFormat, error_alone
from service.transport.open_inference.inference_parameters import version_number

PROTOCOL = "tf_serving"
ERROR_FORMAT = ErrorFormat(
    re.compile(
        r"/v1/models/[^:]*:[^/]*"
        r"|/v1/models/[^/]*(/(versions|labels)/[^/]*)?/metadata"
        r"|/v1/models/[^/]*/(versions|labels)/[^/]*"
    ),
    error_alone,
    ENCODINGS,
)
BODIES = (Rows, Columns, Examples)
SIGNATURE = "serving_default"
_DTYPES = {
    Datatype.FP32: "DT_FLOAT",
    Datatype.FP64: "DT_DOUBLE",
    Datatype.UINT8: "DT_UINT8",
    Datatype.BYTES: "DT_STRING",
}
_States = Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]
_STATES: dict[VersionState, _States] = {
    VersionState.READY: "AVAILABLE",
    VersionState.LOADING: "LOADING",
    VersionState.UNLOADING: "UNLOADING",
    VersionState.FAILED: "END",
    VersionState.UNLOADED: "END",
}


async def predict_tensors(request: Request, name: str) -> Response:
    """Return a model's raw output for tensors or images, in rows or columns."""
    return await _predict(request, name, None)


async def predict_tensors_of_version(request: Request, name: str, version: str) -> Response:
    """Same for one version."""
    return await _predict(request, name, version_number(version))


async def predict_tensors_of_label(request: Request, name: str, label: str) -> Response:
    """Same for the version with a label, such as `stable`."""
    return await _predict(request, name, _labelled(request, name, label))


async def classify_features(request: Request, name: str) -> Response:
    """Return labels and calibrated probabilities of images, up to 100 classes each, best first."""
    return await _classify(request, name, None)


async def classify_features_of_version(request: Request, name: str, version: str) -> Response:
    """Same for one version."""
    return await _classify(request, name, version_number(version))


async def classify_features_of_label(request: Request, name: str, label: str) -> Response:
    """Same for the version with a label, such as `stable`."""
    return await _classify(request, name, _labelled(request, name, label))


router = APIRouter(
    prefix="/v1/models/{name}",
    tags=[TAG],
    dependencies=[requires(Scope.MODELS_READ)],
    responses=errors(400, 401, 403, 404, 429, 500, 503),
)


def number_in_path(version: Annotated[str, Path(description="A whole number.")]) -> int:
    """Parse the version in a path; labels have paths of their own.

    Raises:
        ModelNotFound: it is not a number.
    """
    return version_number(version)


_Version = Annotated[int, Depends(number_in_path)]


@router.get("/versions/{version}")
async def get_version_status(
    name: str, version: _Version, request: Request, classifier: ClassifierDep
) -> ModelVersionStatus:
    """Return the state of a version."""
    require_model(request, name)
    for one in classifier.versions(name):
        if one.version == version:
            has_failed = one.state is VersionState.FAILED
            status = StatusText(error_code="UNKNOWN" if has_failed else "OK")
            line = VersionStatus(version=str(version), state=_STATES[one.state], status=status)
            return ModelVersionStatus(model_version_status=[line])
    message = "This version of the model does not exist."
    raise ModelNotFound(message)


@router.get("/labels/{label}")
async def get_label_status(
    name: str, label: str, request: Request, classifier: ClassifierDep
) -> ModelVersionStatus:
    """Return the state of the version with a label."""
    version = _labelled(request, name, label)
    return await get_version_status(name, version, request, classifier)


@router.get("/metadata")
async def get_servable_metadata(
    name: str, request: Request, classifier: ClassifierDep
) -> ServableMetadata:
    """Return a model's tensors in TensorFlow's format."""
    require_model(request, name)
    return await get_servable_version_metadata(
        name, classifier.resolve(name).version, request, classifier
    )


@router.get("/versions/{version}/metadata")
async def get_servable_version_metadata(
    name: str, version: _Version, request: Request, classifier: ClassifierDep
) -> ServableMetadata:
    """Same for one version."""
    require_model(request, name)
    found = classifier.metadata(name, version)
    signature = SignatureDef(
        inputs={one.name: _tensor_info(one) for one in found.inputs},
        outputs={one.name: _tensor_info(one) for one in found.outputs},
    )
    return ServableMetadata(
        model_spec=ModelSpec(name=name, version=str(version)),
        metadata=SignatureMetadata(
            signature_def=SignatureDefs(signature_def={SIGNATURE: signature})
        ),
    )


@router.get("/labels/{label}/metadata")
async def get_servable_label_metadata(
    name: str, label: str, request: Request, classifier: ClassifierDep
) -> ServableMetadata:
    """Same for the version with a label."""
    version = _labelled(request, name, label)
    return await get_servable_version_metadata(name, version, request, classifier)


def add_routes(app: FastAPI) -> None:
    """Register the routes on the application."""
    places = ("", "/versions/{version}", "/labels/{label}")
    predicts: tuple[Any, ...] = (
        *(predict_tensors, predict_tensors_of_version, predict_tensors_of_label),
    )
    classifies: tuple[Any, ...] = (
        *(classify_features, classify_features_of_version, classify_features_of_label),
    )
    for place, call in zip(places, predicts, strict=True):
        path = f"/v1/models/{{name}}{place}:predict"
        add_call(app, path, call, Rows | Columns, RowAnswers | ColumnAnswers)
    for place, call in zip(places, classifies, strict=True):
        path = f"/v1/models/{{name}}{place}:classify"
        add_call(app, path, call, Examples, ExampleAnswers, scope=Scope.CLASSIFY)
    app.include_router(router)


async def _predict(request: Request, name: str, version: int | None) -> Response:
    return await predict(request, name, version, call_context(request, PROTOCOL), with_columns=True)


async def _classify(request: Request, name: str, version: int | None) -> Response:
    call = call_context(request, PROTOCOL)
    return await classify_examples(request, name, version, call, top_k=MAX_TOP_K)


def _labelled(request: Request, name: str, label: str) -> int:
    require_model(request, name)
    return runtime_of(request).classifier.labelled(name, label)


def _tensor_info(tensor: TensorMetadata) -> TensorInfo:
    return TensorInfo(
        dtype=_DTYPES[tensor.datatype],
        tensor_shape=TensorShape(dim=[Dimension(size=str(axis)) for axis in tensor.shape]),
        name=tensor.name,
    )
