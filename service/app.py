"""``create_app``: build the ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import ASGIApp

from observability.logging import get_logger, silence_uvicorn
from observability.metrics import Metrics
from observability.middleware import ObservabilityMiddleware
from observability.tracing import Tracing
from schemas.classify import EncodedImage
from schemas.errors import ServiceError
from schemas.inference import InferRequestBody
from schemas.operator_error import OperatorError
from service import __version__
from service.runtime import OpenRuntime, Runtime, open_runtime
from service.settings import Settings
from service.transport.budget import BodyBudget
from service.transport.http.body.body import BodyReader
from service.transport.http.body.uploads import Uploads
from service.transport.http.compat import registration as compat
from service.transport.http.middleware.error_formats import V2
from service.transport.http.middleware.errors import (
    ErrorBoundary,
    ErrorResponder,
    add_error_handlers,
)
from service.transport.http.middleware.forwarded_headers import ForwardedHeaders
from service.transport.http.middleware.lean_route import ShortCut
from service.transport.http.middleware.negotiation import HeadAsGet, cross_origin
from service.transport.http.middleware.openapi import add_openapi, operation_id
from service.transport.http.routes import admin, auth, health, models, well_known
from service.transport.http.routes.classify import add_classify_routes
from service.transport.http.routes.health import metrics_router
from service.transport.http.routes.oauth_forms import AskedToken, TokenForm
from service.transport.http.routes.page import web_router
from service.transport.http.server.models_line import models_line
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.server import MODELS_KEY
from service.transport.http.v2 import routes as v2
from service.transport.http.v2.infer import add_infer_routes
from service.transport.proxies import TrustedProxies

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


def create_app(settings: Settings, *, open_runtime: OpenRuntime = open_runtime) -> FastAPI:
    """Build the ASGI application. Nothing heavy is built before its lifespan starts.

    Args:
        open_runtime: builds the runtime that the routes use; tests pass another one.
    """
    metrics = Metrics()
    observability = settings.observability
    tracing = Tracing(observability, __version__, metrics) if observability.otlp_endpoint else None
    limits = settings.limits
    error_formats = (V2, *compat.error_formats(settings.compatibility))
    budget = BodyBudget(limits.max_body_bytes_in_flight, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        log = get_logger("server")
        try:
            with tracing.running() if tracing else nullcontext():
                async with open_runtime(settings, metrics) as runtime:
                    app.state.runtime = runtime
                    async with _grpc(settings, runtime, metrics, budget, tracing):
                        answering = runtime.classifier.answering()
                        default = runtime.classifier.default
                        log.info(
                            "ready",
                            models=[ref.name for ref in answering],
                            default=default.name if default else None,
                        )
                        yield {
                            STATE_KEY: ConnectionContext(
                                limits, metrics, error_formats, runtime.shutdown
                            ),
                            MODELS_KEY: models_line(answering, default),
                        }
        except (OperatorError, ServiceError, OSError) as error:
            log.error("cannot start", reason=str(error))  # noqa: TRY400 - for the operator to fix
            silence_uvicorn()
            raise
        except Exception:
            log.exception("server failed: this is a bug")
            silence_uvicorn()
            raise
        log.info("stopped")

    app = _Application(
        version=__version__,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=operation_id,
    )
    app.state.metrics = metrics
    reader = BodyReader(budget, limits.body_timeout_seconds, metrics)
    app.state.uploads = Uploads(reader, limits)
    answer = ErrorResponder(metrics, error_formats)
    add_error_handlers(app, answer)
    add_classify_routes(app)
    add_infer_routes(app)
    compat.add_routes(app, settings.compatibility)
    app.state.settings = settings
    routers = (
        *(health.router, metrics_router(settings.metrics)),
        *(v2.health, v2.router, v2.management),
        *(models.readers, models.writers, auth.router, well_known.router, admin.router),
        web_router(has_docs=settings.docs != "off"),
    )
    for router in routers:
        app.include_router(router)
    # Schemas that only hand-written request bodies refer to.
    bodies: tuple[type[BaseModel], ...]
    bodies = (EncodedImage, InferRequestBody, TokenForm, AskedToken, *v2.BODIES, *admin.BODIES)
    bodies += compat.bodies(settings.compatibility)
    add_openapi(app, bodies, settings.docs)
    app.layers = lambda inner: ObservabilityMiddleware(
        cross_origin(
            ErrorBoundary(ShortCut(HeadAsGet(inner), app.routes), answer), settings.cors_origins
        ),
        metrics=metrics,
        access_log=observability.access_log,
        routes=_routes(app),
        headers=SECURITY_HEADERS,
        tracing=tracing,
    )
    if settings.trusted_proxies:
        layers, proxies = app.layers, TrustedProxies(settings.trusted_proxies)
        app.layers = lambda inner: ForwardedHeaders(layers(inner), proxies)
    return app


def _grpc(
    settings: Settings,
    runtime: Runtime,
    metrics: Metrics,
    budget: BodyBudget,
    tracing: Tracing | None,
) -> AbstractAsyncContextManager[object]:
    if settings.grpc_port is None:
        return nullcontext()
    from service.transport.grpc.server import serving  # takes 70 ms, so only where it is on

    return serving(settings, runtime, metrics, budget, tracing)


class _Application(FastAPI):
    """FastAPI with our middleware around its own: it sees every request, also failing ones."""

    layers: Callable[[ASGIApp], ASGIApp]

    def build_middleware_stack(self) -> ASGIApp:
        """Build the middleware stack; Starlette calls this once."""
        return self.layers(super().build_middleware_stack())


def _routes(app: FastAPI) -> list[tuple[str, str]]:
    """Return method and path of every operation in the OpenAPI document."""
    return [
        (method.upper(), path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    ]
