"""Identity on the wire: OAuth 2.0 (RFC 6749, 7662, 8414), public keys (RFC 7517), accounts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

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
    scope: str = Field(description="What was granted, space-separated.", examples=["classify"])
    refresh_token: str | None = Field(
        default=None,
        description="For the next access token. Each use replaces it; keep it in secure storage.",
    )


class OAuthError(BaseModel):
    """A failed token request (RFC 6749, section 5.2)."""

    error: OAuthErrorName
    error_description: str


class Introspection(BaseModel):
    """What a token stands for (RFC 7662, section 2.2); only `active` if it does not hold."""

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
    """Where everything is, for OAuth libraries (RFC 8414)."""

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
    """The keys that verify our tokens."""

    keys: list[JsonWebKey]


class SessionInfo(BaseModel):
    """One signed-in device."""

    id: str
    device: str = Field(description="What it called itself (User-Agent).")
    scopes: list[str]
    created: datetime
    last_seen: datetime = Field(description="When it last refreshed its token.")
    expires: datetime = Field(description="When it is signed out unless it refreshes before.")
    current: bool = Field(description="Whether this request comes from it.")


class SessionList(BaseModel):
    """The devices of one person, the one seen last first."""

    sessions: list[SessionInfo]


class AccountInfo(BaseModel):
    """A person or a client."""

    name: str
    scopes: list[str]
    models: list[str] | None = Field(description="Those that it may use; null for all.")
    disabled: bool
    created: datetime


class ClientInfo(AccountInfo):
    """A device or a backend."""

    introspect: bool = Field(description="Whether it may ask about others' tokens.")


class AccountList(BaseModel):
    """People, by name."""

    users: list[AccountInfo]


class ClientList(BaseModel):
    """Clients, by name."""

    clients: list[ClientInfo]


class NewClientSecret(BaseModel):
    """A secret, shown this once."""

    name: str
    secret: str


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


ModelNames = Annotated[list[ModelName], Field(max_length=100)]
ScopeNames = Annotated[list[str], Field(max_length=32)]


class NewUser(_Body):
    """A person to be added."""

    name: str = Field(min_length=1, max_length=100, examples=["anna"])
    password: SecretStr = Field(min_length=8, max_length=1024)
    scopes: ScopeNames | None = Field(default=None, examples=[["classify", "models:read"]])
    models: ModelNames | None = Field(default=None, description="Null for all.")


class NewClient(_Body):
    """A device or a backend to be added."""

    name: str = Field(min_length=1, max_length=100, examples=["camera-7"])
    scopes: ScopeNames | None = Field(default=None, examples=[["classify"]])
    models: ModelNames | None = Field(default=None, description="Null for all.")
    introspect: bool = Field(default=False, description="Whether it may ask about others' tokens.")


class AccountChange(_Body):
    """What is to become of an account; what is left out stays."""

    disabled: bool | None = None
    scopes: ScopeNames | None = None


class NewPassword(_Body):
    """Another password for a person."""

    password: SecretStr = Field(min_length=8, max_length=1024)
