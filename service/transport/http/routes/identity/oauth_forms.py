"""Forms and error responses of the OAuth endpoints (RFC 6749, section 5.2)."""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from pydantic.config import JsonDict
from starlette.responses import Response

from auth.principal import Scope, parse_scopes
from schemas.errors import InsufficientScope, InvalidCredentials, RateLimited
from schemas.http.auth import OAuthError, OAuthErrorName
from service.transport.dependencies import limit_address
from service.transport.http.body.uploads import uploads_of
from service.transport.http.middleware.media_type import content_type_of

GRANTS = ("password", "client_credentials", "refresh_token")
FORM_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 16 * 1024
_PASSWORD: JsonDict = {"format": "password"}


def _optional(schema: JsonDict) -> None:
    """Drop the empty default: generated clients would send it."""
    del schema["default"]


def _optional_secret(schema: JsonDict) -> None:
    """Declare an optional password."""
    schema.update(_PASSWORD)
    _optional(schema)


class TokenForm(BaseModel):
    """Fields of a token request (RFC 6749, sections 4.3.2, 4.4.2 and 6)."""

    grant_type: Literal["password", "client_credentials", "refresh_token"]
    username: str = Field(default="", json_schema_extra=_optional)
    password: str = Field(default="", json_schema_extra=_optional_secret)
    refresh_token: str = Field(default="", json_schema_extra=_optional_secret)
    scope: str = Field(
        default="",
        description="Space-separated; all scopes of the account if absent or empty.",
        json_schema_extra=_optional,
    )
    client_id: str = Field(default="", json_schema_extra=_optional)
    client_secret: str = Field(default="", json_schema_extra=_optional_secret)


class AskedToken(BaseModel):
    """Fields of a revocation (RFC 7009) or an introspection (RFC 7662)."""

    token: str = Field(
        min_length=1, description="Access or refresh token.", json_schema_extra=_PASSWORD
    )
    token_type_hint: str = Field(
        default="",
        description="Ignored: the server recognises the type.",
        json_schema_extra=_optional,
    )
    client_id: str = Field(default="", json_schema_extra=_optional)
    client_secret: str = Field(default="", json_schema_extra=_optional_secret)


class Refused(Exception):
    """An OAuth error response."""

    def __init__(
        self,
        error: OAuthErrorName,
        description: str,
        status: int = 400,
        retry_after: float | None = None,
    ) -> None:
        self.body = OAuthError(error=error, error_description=description)
        self.status, self.retry_after = status, retry_after
        super().__init__(error)

    def response(self) -> JSONResponse:
        """Build the HTTP response."""
        headers = {"cache-control": "no-store"}
        if self.status == 401:
            headers["www-authenticate"] = 'Basic realm="potoo"'
        if self.status == 429:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after or 1)))
        return JSONResponse(self.body.model_dump(), self.status, headers)


async def answered(
    request: Request, call: Callable[[], Awaitable[Response]]
) -> tuple[Response, str]:
    """Run an OAuth endpoint; return its response and the outcome, "ok" or the error's name."""
    try:
        await limit_address(request)
        return await call(), "ok"
    except RateLimited as error:
        refused = in_oauth_words(error, client=False)
    except Refused as error:
        refused = error
    return refused.response(), refused.body.error


def in_oauth_words(error: Exception, *, client: bool) -> Refused:
    """Convert an error of the grants to an OAuth error. ``client``: client authentication."""
    match error:
        case InsufficientScope():
            return Refused("invalid_scope", error.detail)
        case RateLimited():
            return Refused("slow_down", error.detail, 429, error.retry_after)
        case InvalidCredentials() if client:
            return Refused("invalid_client", error.detail, 401)
        case InvalidCredentials():
            return Refused("invalid_grant", error.detail)
        case _:
            raise error


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form; each may be given once.

    FastAPI does not parse it, because its faults must become OAuth errors.

    Raises:
        Refused: the form is malformed, or has another content type.
    """
    if content_type_of(request).name != FORM_TYPE:
        raise Refused("invalid_request", f"Send the parameters as {FORM_TYPE}.")
    uploads = uploads_of(request)
    with uploads.hold as hold:
        body = await uploads.reader.read(request, hold, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=32)
    except ValueError:
        raise Refused("invalid_request", "The form is malformed.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):  # RFC 6749, section 3.2
        raise Refused("invalid_request", "A parameter is given more than once.")
    return fields


def requested_scopes(text: str) -> frozenset[Scope] | None:
    """Parse the field ``scope``; None if it is empty, which asks for all.

    Raises:
        Refused: there is no such scope.
    """
    try:
        return parse_scopes(text) if text.strip() else None
    except ValueError:
        raise Refused("invalid_scope", "There is no such scope.") from None


def client_credentials(request: Request, client_id: str, secret: str) -> tuple[str, str]:
    """Read a client's name and secret from HTTP Basic, or else from the form.

    Raises:
        Refused: there are none (``invalid_client``; RFC 6749, section 5.2), or both are given.
    """
    basic = _basic(request)
    if basic and (secret or client_id not in {"", basic[0]}):
        raise Refused("invalid_request", "Credentials are given in two places.")
    name, secret = basic or (client_id, secret)
    if not name or not secret:
        raise Refused("invalid_client", "The client's name or secret is missing.", 401)
    return name, secret


def _basic(request: Request) -> tuple[str, str] | None:
    """Parse HTTP Basic credentials (RFC 7617), form-encoded inside (RFC 6749, section 2.3.1)."""
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:
        raise Refused("invalid_request", "More than one Authorization header.")
    scheme, _, encoded = "".join(headers).partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # not base64, not ASCII, not UTF-8
        raise Refused("invalid_request", "The Authorization header is malformed.") from None
    name, _, secret = text.partition(":")
    # Swagger UI sends an empty one if the user filled in nothing.
    return (unquote_plus(name), unquote_plus(secret)) if name or secret else None
