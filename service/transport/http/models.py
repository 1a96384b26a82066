"""``GET /v1/models`` and ``GET /v1/models/{name}``."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from auth.principal import Scope
from schemas.models import ModelInfo, ModelList
from service.transport.dependencies import ClassifierDep, requires
from service.transport.http.negotiation import require_json
from service.transport.http.openapi import problems

router = APIRouter(
    prefix="/v1/models",
    tags=["models"],
    dependencies=[requires(Scope.MODELS_READ), Depends(require_json)],
    responses=problems(400, 401, 403, 406, 500),
)


@router.get("")
async def list_models(classifier: ClassifierDep) -> ModelList:
    """The models served here."""
    return classifier.models()


@router.get("/{name}", responses=problems(404))
async def get_model(name: str, classifier: ClassifierDep) -> ModelInfo:
    """One model: its input, preprocessing, labels, digest and accuracy card."""
    return classifier.model(name)
