"""Dependencies of HTTP and WebSocket routes: access policies, and parts of the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Security, params
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import OAuth2
from starlette.requests import HTTPConnection

from auth.administration import Administration
from auth.grants import Grants
from auth.limiting.limits import Allowance
from auth.principal import Origin, Principal, Scope
from observability.logs.audit import AuditEvent
from observability.metrics.metrics import Metrics
from schemas.errors import RateLimited
from service.cameras.opening import Cameras
from service.core.lifecycle.model_control import ModelControl
from service.core.scheduling.call_context import CallContext
from service.core.scheduling.priority import Priority
from service.core.serving.classifier import Classifier
from service.core.serving.ticket import Ticket
from service.runtime.runtime import Runtime
from service.settings import Settings
from service.transport import admission
from service.transport.app_state import state_of
from service.transport.policy import authorize, check_model

if TYPE_CHECKING:
    from service.federation.administration import FederationAdministration
    from service.parameters.administration import ParameterAdministration
    from service.sensors.opening import Sensors
    from service.teach.datasets.opening import Datasets
    from service.teach.runs.opening import Runs
else:  # FastAPI needs the names alone; the modules are imported when they are used
    Sensors = Datasets = Runs = object
    FederationAdministration = ParameterAdministration = object

TOKEN_URL = "v1/auth/token"  # noqa: S105 - relative to /docs, as Swagger UI resolves it
SCOPE_DESCRIPTIONS = {
    Scope.CLASSIFY: "classify images",
    Scope.INFER: "run models on tensors",
    Scope.STREAM: "stream frames over a WebSocket",
    Scope.CAMERAS: "watch and manage cameras",
    Scope.SENSORS: "see and manage sensors",
    Scope.INGEST: "send the samples of sensors",
    Scope.PREPROCESS: "prepare images, numbers and text",
    Scope.TEACH: "label photos and teach models",
    Scope.TRAIN: "train a model with other sites",
    Scope.MODELS_READ: "see the models",
    Scope.MODELS_WRITE: "load and remove models",
    Scope.METRICS: "read the metrics",
    Scope.ADMIN: "manage accounts",
}
_SCOPES = {scope.value: text for scope, text in SCOPE_DESCRIPTIONS.items()}

# For the OpenAPI document: it makes the Authorize button of /docs work. The header is read by
# Requires itself, which is stricter about it.
oauth2 = OAuth2(
    flows=OAuthFlows(
        password=OAuthFlowPassword(tokenUrl=TOKEN_URL, refreshUrl=TOKEN_URL, scopes=_SCOPES),
        clientCredentials=OAuthFlowClientCredentials(tokenUrl=TOKEN_URL, scopes=_SCOPES),
    ),
    scheme_name="OAuth2",
    auto_error=False,
)


class Requires:
    """Policy of a route: a valid bearer token with the scope, within the rate limits.

    Only the Authorization header is read, and exactly one: never the query string or a cookie.
    """

    def __init__(self, scope: Scope | None) -> None:
        """Create the policy; ``scope`` is None if any token will do."""
        self.scope = scope

    async def __call__(
        self, connection: HTTPConnection, _: Annotated[object, Security(oauth2)] = None
    ) -> Principal:
        """Return the caller; also noted for the access log.

        Raises:
            Unauthenticated: no token, several, or an invalid one.
            InsufficientScope: the token is valid, but lacks the scope.
            RateLimited: too many requests; the response headers say when more are allowed.
            NotReady: the revocation of the token cannot be checked.
        """
        scope = connection.scope
        identity, state = runtime_of(connection).identity, scope["state"]
        client, allowance = scope.get("client"), Allowance()
        if identity.limiter.is_on:
            # The response headers report what is left of the rates.
            state["answer_headers"] = allowance.headers

        def note(principal: Principal) -> None:
            state["principal_name"] = principal.name

        principal = await authorize(
            identity,
            self.scope,
            address=client[0] if client else "",
            authorization=[
                value.decode("latin-1")
                for name, value in scope["headers"]
                if name == b"authorization"
            ],
            allowance=allowance,
            on_known=note,
        )
        state["principal"] = principal
        return principal


def requires(scope: Scope | None) -> params.Security:
    """Return the policy for a route's ``dependencies``, also declared in the OpenAPI document."""
    return cast("params.Security", Security(Requires(scope), scopes=[scope.value] if scope else []))


async def limit_address(connection: HTTPConnection) -> None:
    """Count a call of a route without a token against its address.

    Raises:
        RateLimited: as ``Requires``.
    """
    identity = runtime_of(connection).identity
    if identity.limiter.is_on:
        allowance = Allowance()
        connection.scope["state"]["answer_headers"] = allowance.headers
        try:
            await identity.limiter.count_address(origin_of(connection).address, allowance)
        except RateLimited:
            identity.audit.record(AuditEvent.RATE_LIMITED)
            raise


def runtime_of(connection: HTTPConnection) -> Runtime:
    """Return the runtime that the application was started with."""
    return state_of(connection).runtime


def settings_of(connection: HTTPConnection) -> Settings:
    """Return the settings that the application was started with."""
    return state_of(connection).settings


def metrics_of(connection: HTTPConnection) -> Metrics:
    """Return the metrics of the application."""
    return state_of(connection).metrics


def principal_of(connection: HTTPConnection) -> Principal:
    """Return the caller of a route that has ``requires``."""
    return cast("Principal", connection.scope["state"]["principal"])


def require_model(connection: HTTPConnection, name: str) -> None:
    """Check that the caller may use a model; some callers may use only certain ones.

    Raises:
        ModelForbidden: the caller may not use the model of that name.
    """
    check_model(runtime_of(connection).identity, principal_of(connection), name)


def call_context(
    connection: HTTPConnection,
    protocol: str,
    *,
    priority: Priority = Priority.NORMAL,
    timeout: float | None = None,
) -> CallContext:
    """Return the context of a call of the authenticated caller.

    Args:
        timeout: seconds from the moment that the body is complete; None for the default.
    """
    principal = principal_of(connection)
    return CallContext(principal.name, principal.weight, protocol, priority, timeout)


def issue_ticket(
    connection: HTTPConnection, model: str | None, version: int | str | None, call: CallContext
) -> Ticket:
    """Return the ticket of a call with many items, each of which is admitted separately.

    Raises:
        ModelForbidden, ModelNotChosen, ModelNotFound, NotReady: see ``admission.issue_ticket``.
    """
    runtime, principal = runtime_of(connection), principal_of(connection)
    return admission.issue_ticket(runtime, principal, model, version, call)


def admit(
    connection: HTTPConnection, model: str | None, version: int | str | None, call: CallContext
) -> Ticket:
    """Return the ticket of a call, or refuse the call before its body is sent.

    Raises:
        ModelForbidden, ModelNotChosen, ModelNotFound, NotReady, Overloaded, DeadlineExceeded: see
            ``admission.admit``.
    """
    runtime, principal = runtime_of(connection), principal_of(connection)
    return admission.admit(runtime, principal, model, version, call)


def origin_of(connection: HTTPConnection) -> Origin:
    """Return the origin of the request, which ``ForwardedHeaders`` may have set."""
    client = connection.scope.get("client")
    return Origin(client[0] if client else "", connection.headers.get("user-agent", ""))


def _classifier(connection: HTTPConnection) -> Classifier:
    return runtime_of(connection).classifier


def _models(connection: HTTPConnection) -> ModelControl:
    return runtime_of(connection).models


def _grants(connection: HTTPConnection) -> Grants:
    return runtime_of(connection).identity.grants


def _administration(connection: HTTPConnection) -> Administration:
    return runtime_of(connection).identity.administration


def _cameras(connection: HTTPConnection) -> Cameras:
    return runtime_of(connection).cameras


async def _sensors(connection: HTTPConnection) -> Sensors:
    return await runtime_of(connection).sensors.get()


def _datasets(connection: HTTPConnection) -> Datasets:
    return runtime_of(connection).teach.datasets


async def _runs(connection: HTTPConnection) -> Runs:
    return await runtime_of(connection).teach.runs()


def _federations(connection: HTTPConnection) -> FederationAdministration:
    return runtime_of(connection).federations.get()


def _parameters(connection: HTTPConnection) -> ParameterAdministration:
    return runtime_of(connection).parameters.get()


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]
ClassifierDep = Annotated[Classifier, Depends(_classifier)]
ModelsDep = Annotated[ModelControl, Depends(_models)]
CamerasDep = Annotated[Cameras, Depends(_cameras)]
SensorsDep = Annotated[Sensors, Depends(_sensors)]
DatasetsDep = Annotated[Datasets, Depends(_datasets)]
RunsDep = Annotated[Runs, Depends(_runs)]
FederationsDep = Annotated[FederationAdministration, Depends(_federations)]
ParametersDep = Annotated[ParameterAdministration, Depends(_parameters)]
GrantsDep = Annotated[Grants, Depends(_grants)]
AdministrationDep = Annotated[Administration, Depends(_administration)]
PrincipalDep = Annotated[Principal, Depends(principal_of)]
