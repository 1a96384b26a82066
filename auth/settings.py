"""The operator's choices for identity."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AuthSettings(BaseModel):
    """Group ``[auth]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(default="potoo", min_length=1, description="the `iss` of our tokens")
    audience: str = Field(
        default="potoo", min_length=1, description="the `aud` of our tokens, and the only one taken"
    )
    access_token_seconds: int = Field(
        default=900, ge=60, le=86_400, description="how long an access token lives"
    )
    clock_skew_seconds: int = Field(
        default=30, ge=0, le=300, description="how far another machine's clock may be off"
    )
    token_cache_size: int = Field(
        default=4096, ge=0, le=1_000_000, description="verified tokens remembered until they expire"
    )
    sign_ins_waiting: int = Field(
        default=16, ge=1, le=1024, description="sign-ins that may wait for the password hash"
    )
