"""``GET /v1/models`` and ``GET /v1/models/{name}``."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from auth.principal import Scope
from schemas.models import ModelInfo, ModelList
from service.transport.dependencies import (
    ClassifierDep,
    PrincipalDep,
    require_model,
    requires,
)
from service.transport.http.negotiation import require_json
from service.transport.http.openapi import problems

router = APIRouter(
    prefix="/v1/models",
    tags=["models"],
    dependencies=[requires(Scope.MODELS_READ), Depends(require_json)],
    responses=problems(400, 401, 403, 406, 429, 500, 503),
)


@router.get("")
async def list_models(classifier: ClassifierDep, principal: PrincipalDep) -> ModelList:
    """The models served here that you may use."""
    models = classifier.models().models
    return ModelList(models=[model for model in models if principal.may_use(model.name)])


@router.get("/{name}", responses=problems(404))
async def get_model(name: str, request: Request, classifier: ClassifierDep) -> ModelInfo:
    """One model: its input, preprocessing, labels, digest and accuracy card."""
    model = classifier.model(name)
    require_model(request, model.name)
    return model
