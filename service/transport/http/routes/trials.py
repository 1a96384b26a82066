"""``/v1/models/{name}/rollout`` and ``/drift``: how versions do on live traffic."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from auth.principal import Scope
from schemas.drift import DriftReport
from schemas.errors import NotFound
from schemas.rollout import RolloutOptions, RolloutReport
from service.transport.dependencies import (
    ClassifierDep,
    ModelsDep,
    PrincipalDep,
    RuntimeDep,
    require_model,
    requires,
)
from service.transport.http.body.json_body import JsonBody, takes
from service.transport.http.middleware.negotiation import require_json
from service.transport.http.middleware.openapi import problems

_PREFIX = "/v1/models"
readers = APIRouter(
    prefix=_PREFIX,
    tags=["models"],
    dependencies=[requires(Scope.MODELS_READ), Depends(require_json)],
    responses=problems(401, 403, 404, 406, 422, 429, 500, 503),
)
writers = APIRouter(
    prefix=_PREFIX,
    tags=["models"],
    dependencies=[requires(Scope.MODELS_WRITE), Depends(require_json)],
    responses=problems(401, 403, 404, 406, 409, 422, 429, 500, 503),
)
BODIES = (RolloutOptions,)
"""Request bodies of the routes, which read them themselves."""


@readers.get("/{name}/rollout")
async def get_rollout(name: str, request: Request, runtime: RuntimeDep) -> RolloutReport:
    """Describe the version that is tried beside the default one, and how it does.

    `404` without one; the detail says how the last one ended.
    """
    require_model(request, name)
    return runtime.rollouts.report(name)


@writers.put(
    "/{name}/rollout", responses=problems(408, 413, 415), openapi_extra=takes(RolloutOptions)
)
async def begin_rollout(
    name: str,
    options: Annotated[RolloutOptions, Depends(JsonBody(RolloutOptions))],
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


@readers.get("/{name}/drift")
async def get_drift(name: str, request: Request, runtime: RuntimeDep) -> DriftReport:
    """Compare the recent answers of a model with those of its reference.

    By version, and by source: requests, and each camera.
    """
    require_model(request, name)
    if runtime.drift is None:
        raise NotFound("Answers are not recorded: the setting drift.enabled is off.")
    return runtime.drift.report(name)
