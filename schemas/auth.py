"""Sign-in on the wire: OAuth 2.0 answers (RFC 6749) and public keys (RFC 7517)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OAuthErrorName = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unsupported_grant_type",
    "invalid_scope",
    "temporarily_unavailable",
]


class TokenResponse(BaseModel):
    """A successful token request (RFC 6749, section 5.1)."""

    access_token: str = Field(description="A signed JWT (RFC 9068). Send it as a bearer token.")
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the type, not a token
    expires_in: int = Field(description="Seconds until the token expires.", examples=[900])
    scope: str = Field(description="What was granted, space-separated.", examples=["classify"])


class OAuthError(BaseModel):
    """A failed token request (RFC 6749, section 5.2)."""

    error: OAuthErrorName
    error_description: str


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
