"""Settings of trusted issuers: a company's Keycloak, Auth0, Firebase."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from auth.principal import Scope


def _is_safe_url(url: str) -> str:
    """Require HTTPS, or HTTP on this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost"
    if (
        not host
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and is_here))
    ):
        raise ValueError("this must be an https:// URL")
    return url


SafeUrl = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_is_safe_url)]


class IssuerSettings(BaseModel):
    """One ``[[auth.issuers]]`` in the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="its people are called name|subject"
    )
    issuer: SafeUrl = Field(description="the `iss` of its tokens, exactly")
    audience: tuple[str, ...] = Field(min_length=1, description="values of `aud` that mean us")
    audience_claim: str = Field(
        default="aud", description="in place of `aud`, such as client_id; dots lead inside"
    )
    jwks_url: SafeUrl | None = Field(
        default=None, description="its keys; else <issuer>/.well-known/openid-configuration tells"
    )
    algorithms: tuple[Literal["ES256", "RS256"], ...] = Field(
        default=("ES256", "RS256"), min_length=1, description="that its tokens may be signed with"
    )
    token_types: tuple[str, ...] = Field(
        default=("at+jwt",), min_length=1, description="header `typ` of its access tokens; '': none"
    )
    required_claims: dict[str, str | bool | int] = Field(
        default_factory=dict, description="claims that must be exactly so; dots lead inside"
    )
    scope_claim: str | tuple[str, ...] = Field(
        default="scope", description="where it says what they may do, or a list; dots lead inside"
    )
    scopes: dict[str, tuple[Scope, ...]] = Field(
        default_factory=dict, description="what each value of that claim grants here"
    )
    default_scopes: tuple[Scope, ...] = Field(
        default=(), description="what every one of its tokens grants here"
    )
    refresh_seconds: float = Field(
        default=300, ge=1, le=86_400, description="between looks at its keys"
    )
