"""``POST /v1/auth/token`` and ``GET /.well-known/jwks.json``."""

from __future__ import annotations

import base64
from typing import Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from auth.authenticator import Authenticator, IssuedToken
from auth.principal import format_scopes, parse_scopes
from schemas.auth import JsonWebKeySet, OAuthError, OAuthErrorName, TokenResponse
from schemas.errors import InsufficientScope, InvalidCredentials, RateLimited
from service.transport.dependencies import AuthenticatorDep, RuntimeDep
from service.transport.http.openapi import problems
from service.transport.http.uploads import Uploads

router = APIRouter()
GRANTS = ("password", "client_credentials")
FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 16 * 1024


class TokenForm(BaseModel):
    """The fields of a token request (RFC 6749, sections 4.3.2 and 4.4.2)."""

    grant_type: Literal["password", "client_credentials"]
    username: str = ""
    password: str = Field(default="", json_schema_extra={"format": "password"})
    scope: str = Field(default="", description="Space-separated; empty for all you have.")
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
        **problems(408, 413, 415, 500, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {FORM_TYPE: {"schema": {"$ref": "#/components/schemas/TokenForm"}}},
        }
    },
)
async def issue_token(request: Request, authenticator: AuthenticatorDep) -> JSONResponse:
    """Signs in: trades a name and its password for an access token.

    `password` is for first-party apps only (RFC 9700 advises against it elsewhere);
    `client_credentials` is for devices and backends, with HTTP Basic or form fields.
    """
    count = request.app.state.metrics.token_requests.labels
    grant = "other"
    try:
        form = await _read_form(request)
        grant = form.grant_type
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


async def _read_form(request: Request) -> TokenForm:
    """Every fault of the form is an OAuth error, which is why FastAPI does not read it."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_TYPE:
        raise _Refused("invalid_request", f"Send the parameters as {FORM_TYPE}.")
    uploads: Uploads = request.app.state.uploads
    with uploads.hold as hold:
        body = await uploads.reader.read(request, hold, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32)
    except ValueError:
        raise _Refused("invalid_request", "The form is malformed.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):  # RFC 6749, section 3.2
        raise _Refused("invalid_request", "A parameter is given more than once.")
    if not fields.get("grant_type"):
        raise _Refused("invalid_request", "grant_type is missing.")
    if fields["grant_type"] not in GRANTS:
        raise _Refused("unsupported_grant_type", f"Supported are {' and '.join(GRANTS)}.")
    return TokenForm.model_validate(fields)


def _credentials(request: Request, form: TokenForm) -> tuple[str, str]:
    """Name and secret of the account that signs in."""
    if form.grant_type == "password":
        # Swagger UI sends an empty Basic header beside it; who signs in is in the form.
        name, secret = form.username, form.password
    else:
        name, secret = _basic(request) or (form.client_id, form.client_secret)
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
    except ValueError:  # not base64, not ASCII, not UTF-8
        raise _Refused("invalid_request", "The Authorization header is malformed.") from None
    name, _, secret = text.partition(":")
    return unquote_plus(name), unquote_plus(secret)
