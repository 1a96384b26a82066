"""Bodies of OAuth 2.0 (RFC 6749, 7662, 8414), public keys (RFC 7517) and account administration."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, WithJsonSchema

from schemas.models import ModelName

OAuthErrorName = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unsupported_grant_type",
    "unsupported_token_type",
    "invalid_scope",
    "slow_down",
]


class TokenResponse(BaseModel):
    """A successful token request (RFC 6749, section 5.1)."""

    access_token: str = Field(description="A signed JWT (RFC 9068). Send it as a bearer token.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the type, not a token
    expires_in: int = Field(description="Seconds until the token expires.", examples=[900])
    scope: str = Field(description="Scopes granted, space-separated.", examples=["classify"])
    refresh_token: str | None = Field(
        default=None,
        description="Gets the next access token. Each use replaces it; keep it in secure storage.",
    )


class OAuthError(BaseModel):
    """A failed token request (RFC 6749, section 5.2)."""

    error: OAuthErrorName
    error_description: str


class Introspection(BaseModel):
    """State of a token (RFC 7662, section 2.2); an invalid token has only `active: false`."""

    active: bool
    scope: str | None = None
    client_id: str | None = None
    sub: str | None = None
    token_type: Literal["access_token", "refresh_token"] | None = None
    exp: int | None = Field(default=None, description="Seconds since the epoch.")
    iat: int | None = Field(default=None, description="Seconds since the epoch.")
    iss: str | None = None
    jti: str | None = None


class ServerMetadata(BaseModel):
    """Authorization server metadata (RFC 8414)."""

    issuer: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str] = []
    grant_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str] = ["none"]
    introspection_endpoint_auth_methods_supported: list[str]
    service_documentation: str | None = None


class JsonWebKey(BaseModel):
    """One public key (RFC 7517); extra members depend on its type."""

    model_config = ConfigDict(extra="allow")

    kty: str
    kid: str
    alg: str
    use: Literal["sig"] = "sig"


class JsonWebKeySet(BaseModel):
    """Public keys that verify Potoo's tokens."""

    keys: list[JsonWebKey]


class SessionInfo(BaseModel):
    """One signed-in device."""

    id: str
    device: str = Field(description="User-Agent header at sign-in.")
    scopes: list[str]
    created: datetime
    last_seen: datetime = Field(description="Time of the last token refresh.")
    expires: datetime = Field(
        description="End of the session unless its token is refreshed before."
    )
    current: bool = Field(description="Whether this request comes from this session.")


class SessionList(BaseModel):
    """Sessions of one user, most recently seen first."""

    sessions: list[SessionInfo]


class AccountInfo(BaseModel):
    """A user or a client."""

    name: str
    scopes: list[str]
    models: list[str] | None = Field(description="Models that the account may use; null for all.")
    disabled: bool
    created: datetime


class ClientInfo(AccountInfo):
    """A client: a device or a backend."""

    introspect: bool = Field(description="Whether the client may introspect tokens.")


class AccountList(BaseModel):
    """Users, sorted by name."""

    users: list[AccountInfo]


class ClientList(BaseModel):
    """Clients, sorted by name."""

    clients: list[ClientInfo]


class NewClientSecret(BaseModel):
    """A client secret; it cannot be shown again."""

    name: str
    secret: str


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


ModelNames = Annotated[list[ModelName], Field(max_length=100)]
SCOPES = (
    "admin",
    "cameras",
    "classify",
    "infer",
    "ingest",
    "metrics",
    "models:read",
    "models:write",
    "preprocess",
    "sensors",
    "stream",
    "teach",
    "train",
)
"""Scopes that are offered."""
# Names reserved for later versions are taken too, but not shown.
ScopeName = Annotated[str, WithJsonSchema({"type": "string", "enum": [*SCOPES]})]
ScopeNames = Annotated[list[ScopeName], Field(max_length=32)]


class NewUser(_Body):
    """A user to add."""

    name: str = Field(min_length=1, max_length=100, examples=["anna"])
    password: SecretStr = Field(min_length=8, max_length=1024)
    scopes: ScopeNames | None = Field(default=None, examples=[["classify", "models:read"]])
    models: ModelNames | None = Field(
        default=None, description="Models that the account may use; null for all."
    )


class NewClient(_Body):
    """A client to add."""

    name: str = Field(min_length=1, max_length=100, examples=["camera-7"])
    scopes: ScopeNames | None = Field(default=None, examples=[["classify"]])
    models: ModelNames | None = Field(
        default=None, description="Models that the account may use; null for all."
    )
    introspect: bool = Field(default=False, description="Whether the client may introspect tokens.")


class AccountChange(_Body):
    """Changes to an account; omitted members are unchanged."""

    disabled: bool | None = None
    scopes: ScopeNames | None = None


class NewPassword(_Body):
    """The new password of a user."""

    password: SecretStr = Field(min_length=8, max_length=1024)
