"""``create_app``: wire routes and middleware to the objects that ``open_runtime`` builds."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from observability.logs.logging import get_logger, log_failed_start, silence_uvicorn
from observability.metrics.metrics import Metrics
from observability.middleware import ObservabilityMiddleware
from observability.tracing.tracing import Tracing
from schemas.classify import EncodedImage
from schemas.errors import ServiceError
from schemas.http.inference import InferenceError, InferRequestBody
from schemas.http.problem import Problem
from schemas.operator_error import OperatorError
from service import __version__
from service.runtime.runtime import Runtime, open_runtime
from service.settings import Settings
from service.transport.http.body.body import BodyReader
from service.transport.http.body.uploads import HttpState, Uploads
from service.transport.http.compat import registration as compat
from service.transport.http.middleware.cross_origin import cross_origin
from service.transport.http.middleware.error_formats import V2, ErrorFormat
from service.transport.http.middleware.errors import (
    ErrorBoundary,
    ErrorResponder,
    add_error_handlers,
)
from service.transport.http.middleware.forwarded_headers import ForwardedHeaders
from service.transport.http.middleware.lean_route import ShortCut
from service.transport.http.middleware.negotiation import HeadAsGet
from service.transport.http.middleware.openapi import add_openapi, operation_id
from service.transport.http.routes import health, models, scalers, trials
from service.transport.http.routes.cameras import cameras
from service.transport.http.routes.cameras import events as camera_events
from service.transport.http.routes.classify import add_classify_routes
from service.transport.http.routes.health import metrics_router
from service.transport.http.routes.identity import admin, auth, page_session, well_known
from service.transport.http.routes.identity.oauth_forms import AskedToken, TokenForm
from service.transport.http.routes.page import STATIC_PATH, web_router
from service.transport.http.routes.preprocess import numeric as preprocess_numeric
from service.transport.http.routes.preprocess.image import add_preprocess_image_route
from service.transport.http.routes.preprocess.items import add_preprocess_items_route
from service.transport.http.routes.preprocess.text import add_preprocess_text_route
from service.transport.http.routes.sensors import (
    events as sensor_events,
)
from service.transport.http.routes.sensors import (
    sensors,
)
from service.transport.http.routes.sensors import (
    windows as sensor_windows,
)
from service.transport.http.routes.teach import datasets, photos, runs
from service.transport.http.routes.text import BODIES as TEXT_BODIES
from service.transport.http.routes.text import add_text_routes
from service.transport.http.routes.training import federations, parameters
from service.transport.http.server.models_line import models_line
from service.transport.http.server.protocol import STATE_KEY, ConnectionContext
from service.transport.http.server.server import MODELS_KEY
from service.transport.http.stream.route import add_stream_route
from service.transport.http.v2 import routes as v2
from service.transport.http.v2.infer import add_infer_routes
from service.transport.open_streams import OpenStreams
from service.transport.proxies import TrustedProxies

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


def create_app(settings: Settings) -> FastAPI:
    """Build the ASGI application. Nothing heavy is built before its lifespan starts.

    Only what the middleware needs is built here; ``open_runtime`` builds everything else.
    """
    metrics = Metrics()
    observability = settings.observability
    tracing = Tracing(observability, __version__, metrics) if observability.otlp_endpoint else None
    error_formats = (V2, *compat.error_formats(settings.compatibility))
    app = _Application(
        version=__version__,
        lifespan=_lifespan(settings, metrics, tracing, error_formats),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=operation_id,
    )
    answer = ErrorResponder(metrics, error_formats)
    add_error_handlers(app, answer)
    _add_routes(app, settings, tracing)
    app.layers = _layers(app, settings, metrics, tracing, answer)
    return app


def _lifespan(
    settings: Settings,
    metrics: Metrics,
    tracing: Tracing | None,
    error_formats: tuple[ErrorFormat, ...],
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, object]]]:
    """Return the lifespan: open the runtime, serve gRPC beside HTTP, close in mirror order."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, object]]:
        log, limits = get_logger("server"), settings.limits
        try:
            with tracing.running() if tracing else nullcontext():
                async with open_runtime(settings, metrics) as runtime:
                    reader = BodyReader(runtime.budget, limits.body_timeout_seconds, metrics)
                    uploads = Uploads(reader, limits)
                    event_streams = OpenStreams(limits.streams_per_principal, metrics)
                    HttpState(settings, metrics, runtime, uploads, event_streams).set_on(app)
                    async with (
                        _grpc(settings, runtime, metrics, tracing),
                        _sensor_ports(settings, runtime, metrics),
                    ):
                        answering = runtime.classifier.answering()
                        default = runtime.classifier.default
                        log.info(
                            "ready",
                            models=[ref.name for ref in answering],
                            default=default.name if default else None,
                        )
                        yield {
                            STATE_KEY: ConnectionContext(
                                limits,
                                metrics,
                                error_formats,
                                runtime.shutdown,
                                runtime.budget,
                            ),
                            MODELS_KEY: models_line(answering, default),
                        }
        except (OperatorError, ServiceError, OSError) as error:
            log_failed_start(str(error))
            silence_uvicorn()
            raise
        except Exception:
            log.exception("server failed: this is a bug")
            silence_uvicorn()
            raise
        log.info("stopped")

    return lifespan


def _add_routes(app: FastAPI, settings: Settings, tracing: Tracing | None) -> None:
    """Add all routes, and the OpenAPI document of them."""
    add_classify_routes(app)
    add_preprocess_image_route(app)
    add_preprocess_items_route(app)
    add_preprocess_text_route(app)
    add_text_routes(app)
    add_infer_routes(app)
    add_stream_route(app, tracing)
    compat.add_routes(app, settings.compatibility)
    routers = (
        *(health.router, metrics_router(settings.metrics)),
        *(v2.health, v2.router, v2.management),
        *(
            models.readers,
            trials.readers,
            trials.writers,
            models.writers,
            cameras.router,
            cameras.pictures,
            camera_events.router,
            sensors.router,
            sensor_events.router,
            sensor_windows.router,
            datasets.router,
            datasets.exports,
            photos.router,
            photos.images,
            runs.router,
            runs.single,
            runs.reports,
            federations.router,
            parameters.router,
            parameters.tensors,
            preprocess_numeric.router,
            scalers.readers,
            scalers.writers,
            auth.router,
            page_session.router,
            well_known.router,
            admin.router,
        ),
        web_router(has_docs=settings.docs != "off"),
    )
    for router in routers:
        app.include_router(router)
    # Schemas that only hand-written parts of the document refer to.
    bodies: tuple[type[BaseModel], ...] = (Problem, InferenceError)
    bodies += (EncodedImage, InferRequestBody, TokenForm, AskedToken, *v2.BODIES)
    bodies += (*admin.BODIES, *cameras.BODIES, *sensors.BODIES, *sensor_windows.BODIES)
    bodies += (*datasets.BODIES, *photos.BODIES, *runs.BODIES)
    bodies += (*federations.BODIES, *parameters.BODIES)
    bodies += (*preprocess_numeric.BODIES, *scalers.BODIES, *trials.BODIES, *TEXT_BODIES)
    bodies += compat.bodies(settings.compatibility)
    add_openapi(app, bodies, settings.docs)


def _layers(
    app: FastAPI,
    settings: Settings,
    metrics: Metrics,
    tracing: Tracing | None,
    answer: ErrorResponder,
) -> list[Middleware]:
    """Return our middleware, outermost first. FastAPI's own, with its router, follows the last."""
    proxies = settings.trusted_proxies
    forwarded = [Middleware(ForwardedHeaders, TrustedProxies(proxies))] if proxies else []
    return [
        # First, because the layers below log and limit the client's address.
        *forwarded,
        # Counts, logs and traces every response, also those of the layers below.
        Middleware(
            ObservabilityMiddleware,
            metrics=metrics,
            access_log=settings.observability.access_log,
            # A visit to the page requests a dozen files, which would clutter the log.
            unlogged=(STATIC_PATH,) if sys.stderr.isatty() else (),
            routes=_operations(app),
            headers=SECURITY_HEADERS,
            tracing=tracing,
        ),
        # Around the error boundary, so that web pages can read errors too.
        cross_origin(settings.cors_origins, answer),
        # Turns exceptions of the layers below into responses.
        Middleware(ErrorBoundary, answer),
        # Runs lean routes, which bypass the layers below.
        Middleware(ShortCut, app.routes),
        Middleware(HeadAsGet),
    ]


def _operations(app: FastAPI) -> list[tuple[str, str]]:
    """Return method and path of every operation that the OpenAPI document shows."""
    return [
        (method, context.path_format or "")
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute) and context.original_route.include_in_schema
        for method in sorted(context.methods or ())
    ]


def _grpc(
    settings: Settings, runtime: Runtime, metrics: Metrics, tracing: Tracing | None
) -> AbstractAsyncContextManager[object]:
    if settings.grpc_port is None:
        return nullcontext()
    from service.transport.grpc.server.server import serving  # takes 70 ms, so only where it is on

    return serving(settings, runtime, metrics, tracing)


@asynccontextmanager
async def _sensor_ports(
    settings: Settings, runtime: Runtime, metrics: Metrics
) -> AsyncIterator[None]:
    if not settings.sensors.has_ports:
        yield
        return
    from service.transport.tcp.server import serving

    intake = (await runtime.sensors.get()).intake
    async with serving(settings, runtime.identity, intake, metrics, runtime.shutdown):
        yield


class _Application(FastAPI):
    """FastAPI with our middleware around its own: it sees every request, also failing ones.

    Attributes:
        layers: our middleware, outermost first.
    """

    layers: Sequence[Middleware] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request, or the lifespan; FastAPI's telemetry, which is off, is passed by."""
        if scope["type"] != "http" or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap FastAPI's stack in our layers; Starlette calls this once."""
        app = super().build_middleware_stack()
        for layer, arguments, options in reversed(self.layers):
            app = layer(app, *arguments, **options)
        return app
