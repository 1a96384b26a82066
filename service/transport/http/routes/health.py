"""Liveness, readiness and metrics: ``/healthz``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from auth.principal import Scope
from schemas.http.health import Liveness, Readiness
from service.settings import Exposure
from service.transport.dependencies import RuntimeDep, metrics_of, requires
from service.transport.http.middleware.media_type import list_of
from service.transport.http.middleware.openapi import problems

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def get_liveness() -> Liveness:
    """Liveness: the process responds."""
    return Liveness()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
async def get_readiness(runtime: RuntimeDep, response: Response) -> Readiness:
    """Readiness: all models passed their last canary inference, and tokens can be checked."""
    models, store = runtime.classifier.readiness(), runtime.identity.is_ready
    readiness = Readiness(ready=runtime.is_ready, models=models, store=store)
    if not readiness.ready:
        response.status_code = 503
    return readiness


def metrics_router(exposure: Exposure) -> APIRouter:
    """Build the router of ``/metrics``, open or with a token as configured."""
    policy = {"open": [], "token": [requires(Scope.METRICS)], "off": None}[exposure]
    exposed = APIRouter(tags=["health"])
    if policy is None:
        return exposed

    @exposed.get(
        "/metrics",
        response_class=Response,
        dependencies=policy,
        responses={
            200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}},
            **(problems(401, 403, 429, 503) if policy else {}),
        },
    )
    async def get_metrics(request: Request) -> Response:
        """Prometheus metrics; OpenMetrics if the Accept header asks for it."""
        accept = list_of(request, b"accept")
        body, content_type = metrics_of(request).exposition(accept)
        return Response(body, headers={"content-type": content_type})

    return exposed
