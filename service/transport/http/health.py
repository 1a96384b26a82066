"""For probes and Prometheus: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from schemas.health import Liveness, Readiness
from service.transport.dependencies import ClassifierDep

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def get_liveness() -> Liveness:
    """The process answers."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
async def get_readiness(classifier: ClassifierDep, response: Response) -> Readiness:
    """Every model is warm and passed its last canary inference; 503 otherwise."""
    models = classifier.readiness()
    readiness = Readiness(ready=all(models.values()), models=models)
    if not readiness.ready:
        response.status_code = 503
    return readiness


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}},
)
async def get_metrics(request: Request) -> Response:
    """Prometheus metrics; OpenMetrics if the Accept header asks for it."""
    body, content_type = request.app.state.metrics.exposition(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})
