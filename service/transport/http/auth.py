"""``POST /v1/auth/token`` and ``GET /.well-known/jwks.json``."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData

from auth.authenticator import Authenticator, IssuedToken
from auth.principal import format_scopes, parse_scopes
from schemas.auth import JsonWebKeySet, OAuthError, OAuthErrorName, TokenResponse
from schemas.errors import InsufficientScope, InvalidCredentials, RateLimited
from service.transport.dependencies import AuthenticatorDep, RuntimeDep
from service.transport.http.openapi import problems

router = APIRouter()
GRANTS = ("password", "client_credentials")


class TokenForm(BaseModel):
    """The form fields of a token request; the checks are made by hand, to answer as OAuth does."""

    model_config = ConfigDict(extra="ignore")

    grant_type: str = Field(default="", description="password or client_credentials")
    username: str = ""
    password: str = Field(default="", json_schema_extra={"format": "password"})
    scope: str = Field(default="", description="space-separated; empty for all you have")
    client_id: str = ""
    client_secret: str = Field(default="", json_schema_extra={"format": "password"})


class _Refused(Exception):
    """An OAuth error answer (RFC 6749, section 5.2)."""

    def __init__(self, error: OAuthErrorName, description: str, status: int = 400) -> None:
        self.body = OAuthError(error=error, error_description=description)
        self.status = status
        super().__init__(error)

    def response(self) -> JSONResponse:
        headers = {"cache-control": "no-store"}
        if self.status == 401:
            headers["www-authenticate"] = 'Basic realm="potoo"'
        if self.status == 429:
            headers["retry-after"] = "1"
        return JSONResponse(self.body.model_dump(), self.status, headers)


@router.post(
    "/v1/auth/token",
    tags=["auth"],
    response_model=TokenResponse,
    responses={
        400: {"model": OAuthError, "description": "Refused (RFC 6749, section 5.2)"},
        401: {"model": OAuthError, "description": "Client authentication failed"},
        429: {"model": OAuthError, "description": "Too many sign-ins at once"},
        **problems(413, 422, 500, 503),
    },
    max_body_size=16 * 1024,
)
async def issue_token(
    request: Request, form: Annotated[TokenForm, Form()], authenticator: AuthenticatorDep
) -> JSONResponse:
    """Signs in: trades a name and its password for an access token.

    `password` is for first-party apps only (RFC 9700 advises against it elsewhere);
    `client_credentials` is for devices and backends, with HTTP Basic or form fields.
    """
    count = request.app.state.metrics.token_requests.labels
    grant = form.grant_type if form.grant_type in GRANTS else "other"
    try:
        _refuse_repeated(await request.form())
        name, secret = _credentials(request, form)
        issued = await _sign_in(authenticator, name, secret, form)
    except _Refused as refused:
        count(grant, refused.body.error).inc()
        return refused.response()
    count(grant, "issued").inc()
    answer = TokenResponse(
        access_token=issued.access_token,
        expires_in=issued.expires_in,
        scope=format_scopes(issued.scopes),
    )
    return JSONResponse(answer.model_dump(), headers={"cache-control": "no-store"})


@router.get("/.well-known/jwks.json", tags=["auth"])
async def get_jwks(runtime: RuntimeDep) -> JsonWebKeySet:
    """The public keys that verify our access tokens (RFC 7517)."""
    return runtime.keys.public()


async def _sign_in(
    authenticator: Authenticator, name: str, secret: str, form: TokenForm
) -> IssuedToken:
    try:
        scopes = parse_scopes(form.scope) if form.scope.strip() else None
        return await authenticator.sign_in(name, secret, scopes)
    except ValueError:
        raise _Refused("invalid_scope", "There is no such scope.") from None
    except InsufficientScope as error:
        raise _Refused("invalid_scope", error.detail) from None
    except RateLimited as error:
        raise _Refused("temporarily_unavailable", error.detail, 429) from None
    except InvalidCredentials as error:
        if form.grant_type == "password":
            raise _Refused("invalid_grant", error.detail) from None
        raise _Refused("invalid_client", error.detail, 401) from None


def _refuse_repeated(form: FormData) -> None:
    """RFC 6749, section 3.2: parameters must not be included more than once."""
    names = [name for name, _ in form.multi_items()]
    if len(set(names)) != len(names):
        raise _Refused("invalid_request", "A parameter is given more than once.")


def _credentials(request: Request, form: TokenForm) -> tuple[str, str]:
    """Name and secret of the account that signs in."""
    match form.grant_type:
        case "password":
            # Swagger UI sends an empty Basic header beside it; who signs in is in the form.
            name, secret = form.username, form.password
        case "client_credentials":
            name, secret = _basic(request) or (form.client_id, form.client_secret)
        case "":
            raise _Refused("invalid_request", "grant_type is missing.")
        case _:
            raise _Refused("unsupported_grant_type", f"Supported are {' and '.join(GRANTS)}.")
    if not name or not secret:
        raise _Refused("invalid_request", "The name or the secret is missing.")
    return name, secret


def _basic(request: Request) -> tuple[str, str] | None:
    """HTTP Basic credentials (RFC 7617), form-encoded inside (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _Refused("invalid_request", "The Authorization header is malformed.") from None
    name, _, secret = text.partition(":")
    return unquote_plus(name), unquote_plus(secret)
