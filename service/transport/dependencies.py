"""What HTTP and WebSocket routes declare: who may call them, and the parts they work with."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Security, params
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlowPassword, OAuthFlows
from fastapi.security import OAuth2
from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.principal import Principal, Scope
from schemas.errors import InsufficientScope, Unauthenticated
from service.core.classifier import Classifier
from service.runtime import Runtime

TOKEN_URL = "v1/auth/token"  # noqa: S105 - relative to /docs, as Swagger UI resolves it
SCOPE_DESCRIPTIONS = {
    Scope.CLASSIFY: "classify images",
    Scope.MODELS_READ: "see the models",
    Scope.ADMIN: "manage accounts",
}

# For the OpenAPI document: it makes the Authorize button of /docs work. The header is read by
# Requires itself, which is stricter about it.
oauth2 = OAuth2(
    flows=OAuthFlows(
        password=OAuthFlowPassword(
            tokenUrl=TOKEN_URL,
            scopes={scope.value: text for scope, text in SCOPE_DESCRIPTIONS.items()},
        ),
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl=TOKEN_URL,
            scopes={scope.value: text for scope, text in SCOPE_DESCRIPTIONS.items()},
        ),
    ),
    scheme_name="OAuth2",
    auto_error=False,
)


class Requires:
    """The policy of a route: a bearer token that holds and has the scope.

    Only the Authorization header is read, and exactly one: never the query string or a cookie.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(
        self, connection: HTTPConnection, _: Annotated[object, Security(oauth2)] = None
    ) -> Principal:
        """The caller; also noted for the access log.

        Raises:
            Unauthenticated: no token, several, or one that does not hold.
            InsufficientScope: it holds, but lacks the scope.
        """
        principal = runtime_of(connection).authenticator.authenticate(_bearer_token(connection))
        connection.scope["state"]["principal"] = principal.name
        if self.scope not in principal.scopes:
            raise InsufficientScope(self.scope)
        return principal


def requires(scope: Scope) -> params.Security:
    """The same as an entry of a route's ``dependencies``, declared in the OpenAPI document too."""
    return cast("params.Security", Security(Requires(scope), scopes=[scope.value]))


def runtime_of(connection: HTTPConnection) -> Runtime:
    """What the application was started with."""
    return cast("Runtime", connection.app.state.runtime)


def _classifier(connection: HTTPConnection) -> Classifier:
    return runtime_of(connection).classifier


def _authenticator(connection: HTTPConnection) -> Authenticator:
    return runtime_of(connection).authenticator


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]
ClassifierDep = Annotated[Classifier, Depends(_classifier)]
AuthenticatorDep = Annotated[Authenticator, Depends(_authenticator)]


def _bearer_token(connection: HTTPConnection) -> str:
    values = [value for name, value in connection.scope["headers"] if name == b"authorization"]
    if not values:
        raise Unauthenticated
    if len(values) > 1:
        message = "More than one Authorization header."
        raise Unauthenticated(message)
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        message = "The Authorization header must be 'Bearer' and an access token."
        raise Unauthenticated(message)
    return str(token.strip(" "))
