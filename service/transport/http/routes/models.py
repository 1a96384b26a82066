"""``/v1/models``: list models; with the scope ``models:write``, load, unload and promote."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from auth.principal import Principal, Scope
from schemas.drift import DriftReport
from schemas.errors import NotFound
from schemas.models import ModelInfo, ModelList
from schemas.rollout import RolloutOptions, RolloutReport
from schemas.serving import ChosenModel, Label, ModelVersion, ModelVersions
from service.transport.dependencies import (
    ClassifierDep,
    ModelsDep,
    PrincipalDep,
    RuntimeDep,
    require_model,
    requires,
)
from service.transport.http.middleware.negotiation import require_json
from service.transport.http.middleware.openapi import problems

_PREFIX = "/v1/models"
readers = APIRouter(
    prefix=_PREFIX,
    tags=["models"],
    dependencies=[requires(Scope.MODELS_READ), Depends(require_json)],
    responses=problems(400, 401, 403, 406, 429, 500, 503),
)
writers = APIRouter(
    prefix=_PREFIX,
    tags=["models"],
    dependencies=[requires(Scope.MODELS_WRITE), Depends(require_json)],
    responses=problems(401, 403, 404, 406, 409, 422, 429, 500, 503),
)
_Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="Number of the version.")]
_Label = Annotated[
    Label | None, Query(description="Label to promote the version under, such as `stable`.")
]
_KeepDefault = Annotated[bool, Query(description="Move only the label.")]


@readers.get("")
async def list_models(classifier: ClassifierDep, principal: PrincipalDep) -> ModelList:
    """List the models that the caller may use, with all their versions."""
    return ModelList(
        models=[
            model.model_copy(update={"versions": _seen_by(principal, model.versions)})
            for model in classifier.models().models
            if principal.may_use(model.name)
        ]
    )


@readers.get("/{name}", responses=problems(404))
async def get_model(
    name: str, request: Request, classifier: ClassifierDep, principal: PrincipalDep
) -> ModelInfo:
    """Describe a model: its versions; input, labels and accuracy of the default version."""
    model = classifier.model(name)
    require_model(request, model.name)
    return model.model_copy(update={"versions": _seen_by(principal, model.versions)})


@writers.post("/{name}/versions/{version}/load")
async def load_version(
    name: str,
    version: _Version,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
) -> ModelVersions:
    """Load a version beside the default version; retries one that failed before."""
    require_model(request, name)
    await models.load(name, version, by=principal.name)
    return ModelVersions(name=name, versions=classifier.versions(name))


@writers.post("/{name}/versions/{version}/unload")
async def unload_version(
    name: str,
    version: _Version,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
) -> ModelVersions:
    """Unload a version that is not the default and has no label."""
    require_model(request, name)
    await models.unload(name, version, by=principal.name)
    return ModelVersions(name=name, versions=classifier.versions(name))


@writers.post("/{name}/versions/{version}/promote")
async def promote_version(
    name: str,
    version: _Version,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
    label: _Label = None,
    *,
    keep_default: _KeepDefault = False,
) -> ModelVersions:
    """Make a version the default version, after loading and checking it."""
    require_model(request, name)
    await models.promote(name, version, label=label, keep_default=keep_default, by=principal.name)
    return ModelVersions(name=name, versions=classifier.versions(name))


@writers.post("/{name}/rollback")
async def roll_back_model(
    name: str,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
) -> ModelVersions:
    """Restore the default version that the last promotion replaced."""
    require_model(request, name)
    await models.roll_back(name, by=principal.name)
    return ModelVersions(name=name, versions=classifier.versions(name))


@writers.put("/{name}/default")
async def choose_default_model(
    name: str,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
) -> ChosenModel:
    """Choose the default model, for all servers of the repository.

    The model needs a version that can be served. Callers restricted to some models must be allowed
    to use the present default model too, because it is replaced for everybody.
    """
    require_model(request, name)
    if classifier.default is not None:
        require_model(request, classifier.default.name)
    await models.choose_default(name, by=principal.name)
    answers = classifier.default
    return ChosenModel(chosen=name, answers=answers.name if answers else None)


@readers.get("/{name}/rollout", responses=problems(404))
async def get_rollout(name: str, request: Request, runtime: RuntimeDep) -> RolloutReport:
    """Describe the version that is tried beside the default one, and how it does.

    `404` without one; the detail says how the last one ended.
    """
    require_model(request, name)
    return runtime.rollouts.report(name)


@readers.get("/{name}/drift", responses=problems(404))
async def get_drift(name: str, request: Request, runtime: RuntimeDep) -> DriftReport:
    """Compare the recent answers of a model with those of its reference.

    By version, and by source: requests, and each camera.
    """
    require_model(request, name)
    if runtime.drift is None:
        raise NotFound("Answers are not recorded: the setting drift.enabled is off.")
    return runtime.drift.report(name)


@writers.put("/{name}/rollout")
async def begin_rollout(
    name: str,
    options: RolloutOptions,
    request: Request,
    models: ModelsDep,
    runtime: RuntimeDep,
    principal: PrincipalDep,
) -> RolloutReport:
    """Try a version beside the default one, in place of another that is tried.

    It is loaded and checked first.
    """
    require_model(request, name)
    await models.begin_rollout(name, options, by=principal.name)
    return runtime.rollouts.report(name)


@writers.delete("/{name}/rollout", status_code=204)
async def end_rollout(
    name: str,
    request: Request,
    models: ModelsDep,
    classifier: ClassifierDep,
    principal: PrincipalDep,
) -> None:
    """End the rollout of a model; its default version stays."""
    require_model(request, name)
    classifier.model(name)
    if not await models.end_rollout(name, by=principal.name):
        raise NotFound("No version of the model is being tried.")


def _seen_by(principal: Principal, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Remove the reason of failures unless the caller may load models."""
    if Scope.MODELS_WRITE in principal.scopes:
        return versions
    return [version.model_copy(update={"reason": None}) for version in versions]
