"""``/v1/models``: what is served, and, with the scope ``models:write``, which version answers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request

from auth.principal import Principal, Scope
from schemas.models import ModelInfo, ModelList
from schemas.serving import ChosenModel, Label, ModelVersion, ModelVersions
from service.transport.dependencies import (
    ClassifierDep,
    ModelsDep,
    PrincipalDep,
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
_Version = Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.")]
_Label = Annotated[
    Label | None, Query(description="It is promoted under this label, such as `stable`.")
]
_KeepDefault = Annotated[bool, Query(description="Only the label is moved.")]


@readers.get("")
async def list_models(classifier: ClassifierDep, principal: PrincipalDep) -> ModelList:
    """The models served here that you may use, with all their versions."""
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
    """One model: its versions, and the input, labels and accuracy of the one that answers."""
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
    """Loads a version beside the one that answers, also one that failed before."""
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
    """Unloads a version that neither answers by default nor has a label."""
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
    """Has a version answer from now on, once it is loaded and passed its checks."""
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
    """Has what answered before the last promotion answer again."""
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
    """Choose the model that answers unnamed calls, on every server of the repository.

    It needs a version that can be served. Whoever may use some models alone must be allowed the
    model that answers today as well: it is replaced for everybody.
    """
    require_model(request, name)
    if classifier.default is not None:
        require_model(request, classifier.default.name)
    await models.choose_default(name, by=principal.name)
    answers = classifier.default
    return ChosenModel(chosen=name, answers=answers.name if answers else None)


def _seen_by(principal: Principal, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Why a version failed is for those alone who could mend it."""
    if Scope.MODELS_WRITE in principal.scopes:
        return versions
    return [version.model_copy(update={"reason": None}) for version in versions]
