"""``/v2/...``: health, metadata, readiness, configuration, statistics, repository."""

from __future__ import annotations

from functools import partial
from typing import Annotated, TypeVar

import orjson
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ValidationError

from auth.principal import Scope
from schemas.errors import InvalidRequest, NotReady
from schemas.http.inference import (
    InferenceError,
    ModelConfig,
    ModelMetadata,
    ModelNames,
    ModelReady,
    RepositoryChange,
    RepositoryIndexRequest,
    RepositoryModel,
    ServerLive,
    ServerMetadataV2,
    ServerReady,
    StatisticsResponse,
)
from service import __version__
from service.transport.dependencies import (
    ClassifierDep,
    ModelsDep,
    PrincipalDep,
    RuntimeDep,
    require_model,
    requires,
)
from service.transport.http.body.json_body import MAX_JSON_BYTES
from service.transport.http.body.json_text import without_mark
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.openapi import problems
from service.transport.open_inference.inference_parameters import (
    EXTENSIONS,
    SERVER,
    refuse_upload,
    version_named,
)

TAG = "inference"
BODIES = (RepositoryIndexRequest, RepositoryChange)
Asked = TypeVar("Asked", bound=BaseModel)


errors = partial(problems, model=InferenceError)
_READ = errors(400, 401, 403, 404, 429, 500, 503)
_BODY = errors(408, 413, 415)
health = APIRouter(prefix="/v2/health", tags=[TAG])
router = APIRouter(
    prefix="/v2", tags=[TAG], dependencies=[requires(Scope.MODELS_READ)], responses=_READ
)
management = APIRouter(
    prefix="/v2/repository/models/{name}",
    tags=[TAG],
    dependencies=[requires(Scope.MODELS_WRITE)],
    responses=_READ | _BODY | errors(409),
)


def version_of(version: Annotated[str, Path(description="A number or a label.")]) -> int | str:
    """Parse the version in a path.

    Raises:
        ModelNotFound: it is neither a number nor a label.
    """
    return version_named(version)


Version = Annotated[int | str, Depends(version_of)]


@health.get("/live")
async def get_server_live() -> ServerLive:
    """Liveness: the process responds."""
    return ServerLive()


@health.get("/ready", responses=errors(503))
async def get_server_ready(runtime: RuntimeDep) -> ServerReady:
    """Readiness: all models passed their last canary inference, and tokens can be checked."""
    if not runtime.is_ready:
        raise NotReady
    return ServerReady()


@router.get("")
async def get_server_metadata() -> ServerMetadataV2:
    """Return name, version and protocol extensions of the server."""
    return ServerMetadataV2(name=SERVER, version=__version__, extensions=list(EXTENSIONS))


@router.get("/", include_in_schema=False)
async def get_server_metadata_too() -> ServerMetadataV2:
    """Serve the path with a trailing slash too: clients do not follow redirects."""
    return await get_server_metadata()


@router.get("/models")
async def list_model_names(classifier: ClassifierDep, principal: PrincipalDep) -> ModelNames:
    """List the models that the caller may use (an extension of KServe)."""
    return ModelNames(
        models=[one.name for one in classifier.models().models if principal.may_use(one.name)]
    )


@router.get("/models/stats")
async def get_statistics(classifier: ClassifierDep, principal: PrincipalDep) -> StatisticsResponse:
    """Return request counts and times of all models that the caller may use."""
    found = classifier.statistics()
    return StatisticsResponse(model_stats=[one for one in found if principal.may_use(one.name)])


@router.get("/models/{name}")
async def get_model_metadata(
    name: str, request: Request, classifier: ClassifierDep
) -> ModelMetadata:
    """Return a model's tensors. Encoded images are accepted as `BYTES` of shape `[N]` too."""
    return _metadata(request, classifier, name)


@router.get("/models/{name}/versions/{version}")
async def get_model_version_metadata(
    name: str, version: Version, request: Request, classifier: ClassifierDep
) -> ModelMetadata:
    """Same for one version."""
    return _metadata(request, classifier, name, version)


@router.get("/models/{name}/ready")
async def get_model_ready(name: str, request: Request, classifier: ClassifierDep) -> ModelReady:
    """Return 200 if the model is warm and its canary passes, else 503."""
    return _ready(request, classifier, name)


@router.get("/models/{name}/versions/{version}/ready")
async def get_model_version_ready(
    name: str, version: Version, request: Request, classifier: ClassifierDep
) -> ModelReady:
    """Same for one version."""
    return _ready(request, classifier, name, version)


@router.get("/models/{name}/config")
async def get_model_config(name: str, request: Request, classifier: ClassifierDep) -> ModelConfig:
    """Return the model's configuration in Triton's format."""
    return _config(request, classifier, name)


@router.get("/models/{name}/versions/{version}/config")
async def get_model_version_config(
    name: str, version: Version, request: Request, classifier: ClassifierDep
) -> ModelConfig:
    """Same for one version."""
    return _config(request, classifier, name, version)


@router.get("/models/{name}/stats")
async def get_model_statistics(
    name: str, request: Request, classifier: ClassifierDep
) -> StatisticsResponse:
    """Return request counts and times of a model."""
    return _statistics(request, classifier, name)


@router.get("/models/{name}/versions/{version}/stats")
async def get_model_version_statistics(
    name: str, version: Version, request: Request, classifier: ClassifierDep
) -> StatisticsResponse:
    """Same for one version."""
    return _statistics(request, classifier, name, version)


@router.post(
    "/repository/index",
    responses=_BODY,
    openapi_extra={
        "requestBody": {
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/RepositoryIndexRequest"}
                }
            }
        }
    },
)
async def list_repository(
    request: Request, classifier: ClassifierDep, principal: PrincipalDep
) -> list[RepositoryModel]:
    """List the versions in the repository and their states; the body is optional."""
    wanted = await _body_of(request, RepositoryIndexRequest)
    return [
        one
        for one in classifier.index()
        if principal.may_use(one.name) and (one.state == "READY" or not wanted.ready)
    ]


_CHANGE = {
    "requestBody": {
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/RepositoryChange"}}
        }
    }
}


@management.post("/load", openapi_extra=_CHANGE)
async def load_model(
    name: str, request: Request, models: ModelsDep, principal: PrincipalDep
) -> None:
    """Serve an unloaded model again, or read its folder again."""
    refuse_upload((await _body_of(request, RepositoryChange)).parameters)
    require_model(request, name)
    await models.load(name, by=principal.name)


@management.post("/unload", openapi_extra=_CHANGE)
async def unload_model(
    name: str, request: Request, models: ModelsDep, principal: PrincipalDep
) -> None:
    """Stop serving a model until it is loaded again; the default model cannot be unloaded."""
    refuse_upload((await _body_of(request, RepositoryChange)).parameters)
    require_model(request, name)
    await models.unload(name, by=principal.name)


def _metadata(
    request: Request, classifier: ClassifierDep, name: str, version: int | str | None = None
) -> ModelMetadata:
    found = classifier.metadata(name, version)
    require_model(request, found.name)
    return found


def _ready(
    request: Request, classifier: ClassifierDep, name: str, version: int | str | None = None
) -> ModelReady:
    require_model(request, classifier.metadata(name, version).name)
    return ModelReady(name=classifier.resolve(name, version).name)


def _config(
    request: Request, classifier: ClassifierDep, name: str, version: int | str | None = None
) -> ModelConfig:
    found = classifier.config(name, version)
    require_model(request, found.name)
    return found


def _statistics(
    request: Request, classifier: ClassifierDep, name: str, version: int | str | None = None
) -> StatisticsResponse:
    found = classifier.statistics(name, version)
    require_model(request, name)
    return StatisticsResponse(model_stats=found)


async def _body_of(request: Request, kind: type[Asked]) -> Asked:
    """Read a small, optional JSON body."""
    uploads = uploads_of(request)
    with uploads.hold as hold:
        body = await uploads.reader.read(request, hold, MAX_JSON_BYTES)
    try:
        text = without_mark(body)
        return kind.model_validate(orjson.loads(text) if text.strip() else {})
    except (orjson.JSONDecodeError, ValidationError):
        message = f"The body must be empty or JSON as {kind.__name__} of /openapi.json says."
        raise InvalidRequest(message) from None
