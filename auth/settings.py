"""Identity settings."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from auth.issuer_settings import IssuerSettings
from auth.keys import Algorithm


class AuthSettings(BaseModel):
    """Group ``[auth]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(
        default="potoo",
        min_length=1,
        max_length=255,
        description="the `iss` of our tokens; public_url if that is set",
    )
    audience: str = Field(
        default="potoo",
        min_length=1,
        max_length=255,
        description="the `aud` of our tokens, and the only one taken",
    )
    algorithm: Algorithm = Field(default="ES256", description="of keys that are made from now on")
    signing_key: SecretStr | None = Field(
        default=None, description="private keys as PEM, the first one signs; instead of data_dir's"
    )
    signing_key_file: Path | None = Field(
        default=None, description="a mounted secret that holds them"
    )
    access_token_seconds: int = Field(
        default=900, ge=60, le=86_400, description="how long an access token lives"
    )
    refresh_token_days: float = Field(
        default=30, gt=0, le=366, description="how long a device stays signed in without a call"
    )
    refresh_grace_seconds: float = Field(
        default=30, ge=0, le=300, description="to repeat a refresh whose answer was lost"
    )
    sessions_per_account: int = Field(
        default=50, ge=1, le=10_000, description="devices signed in; the oldest has to go"
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
    failures_free: int = Field(
        default=10, ge=0, le=1000, description="failed sign-ins before waits begin; 0: no waits"
    )
    longest_wait_seconds: float = Field(
        default=300, ge=1, le=3600, description="that a failed sign-in may cost"
    )
    store_poll_seconds: float = Field(
        default=1, ge=0.05, le=60, description="between looks at what other replicas revoked"
    )
    store_outage_seconds: float = Field(
        default=60, ge=1, description="without the store, until access tokens are refused (503)"
    )
    rate_per_principal: str = Field(
        default="", description="such as '600/minute; 50000/day'; empty: no limit"
    )
    rate_per_address: str = Field(default="", description="the same, for each client address")
    rate_store: SecretStr | None = Field(
        default=None, description="redis://HOST:PORT/N, so that replicas count together"
    )
    issuers: tuple[IssuerSettings, ...] = Field(
        default=(), description="others whose tokens are taken: [[auth.issuers]] in the file"
    )

    @field_validator("rate_per_principal", "rate_per_address")
    @classmethod
    def _is_a_rate(cls, text: str) -> str:
        if text:
            from limits import parse_many  # takes 60 ms; most have no limits

            try:
                amounts = [item.amount for item in parse_many(text)]
            except ValueError:
                raise ValueError("a rate is written like '600/minute; 50000/day'") from None
            if not all(amounts):
                raise ValueError("a rate of 0 refuses every request; leave it empty for no limit")
        return text

    @field_validator("rate_store")
    @classmethod
    def _is_redis(cls, store: SecretStr | None) -> SecretStr | None:
        if store:
            try:
                usable = _is_redis_url(store.get_secret_value())
            except ValueError:
                usable = False
            if not usable:
                raise ValueError("it is written like redis://HOST:PORT/N")
        return store

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.signing_key and self.signing_key_file:
            raise ValueError("give signing_key or signing_key_file, not both")
        names = [issuer.name for issuer in self.issuers]
        urls = [self.issuer, *(issuer.issuer for issuer in self.issuers)]
        if len(set(names)) < len(names) or len(set(urls)) < len(urls):
            raise ValueError("two issuers have the same name or URL")
        return self


def _is_redis_url(text: str) -> bool:
    """Return whether the URL is valid; refuse parts that the library ignores (database number)."""
    from redis import ConnectionPool, RedisError  # takes 100 ms; most have no Redis

    url = urlsplit(text)
    try:
        ConnectionPool.from_url(text).make_connection()  # does not connect yet
    except (ValueError, TypeError, RedisError):
        return False
    number = url.path.removeprefix("/")
    return bool(url.hostname) and url.port != 0 and (not number or number.isdecimal())
