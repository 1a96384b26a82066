"""Settings of the outputs: an MQTT broker, and webhooks."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

SECRET_PREFIX = "whsec_"  # noqa: S105 - as Standard Webhooks marks a secret in base64
MIN_SECRET_BYTES = 16
MAX_SECRET_BYTES = 255
PLAIN_PORT, TLS_PORT = 1883, 8883


def _is_target(target: SecretStr) -> SecretStr:
    url = target.get_secret_value()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("it must be http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it may hold no user or password; requests are signed instead")
    if parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("write it in ASCII, encoded, and without a fragment")
    return target


Target = Annotated[SecretStr, Field(min_length=1, max_length=2048), AfterValidator(_is_target)]


class MqttSettings(BaseModel):
    """Group ``[mqtt]``: a broker that states and events of cameras are published to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:-]{1,255}$",
        description="broker for states and events of cameras; off if not set",
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description=f"of the broker; {PLAIN_PORT} if not set, with tls {TLS_PORT}",
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=255, description="for the broker"
    )
    password: SecretStr | None = Field(default=None, description="to the user name for the broker")
    tls: bool = Field(default=False, description="encrypt, and check the broker's certificate")
    ca_file: Path | None = Field(
        default=None, description="authorities (PEM) of the broker, instead of the system's"
    )
    topic: str = Field(
        default="potoo",
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$",
        max_length=100,
        description="first levels of every topic; each installation needs its own",
    )
    discovery_prefix: str = Field(
        default="homeassistant",
        pattern=r"^([A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*)?$",
        max_length=100,
        description="where Home Assistant discovers devices; empty: nothing is announced",
    )
    max_waiting: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="events that wait while the broker is away; the oldest are dropped",
    )

    @property
    def effective_port(self) -> int:
        """The port that is connected to."""
        return self.port or (TLS_PORT if self.tls else PLAIN_PORT)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.password and not self.username:
            raise ValueError("password needs a username")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs tls = true")
        return self


class WebhookSettings(BaseModel):
    """Group ``[webhooks]``: URLs that events of cameras are posted to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: tuple[Target, ...] = Field(
        default=(),
        max_length=16,
        description="each gets every event of the cameras, by POST; secret, as paths often are",
    )
    secret: SecretStr | None = Field(
        default=None, description="signs the events: text, or whsec_ and base64; urls need it"
    )
    timeout_seconds: float = Field(
        default=10, gt=0, le=60, description="for one attempt, from connecting to the status"
    )
    attempts: int = Field(
        default=20, ge=1, le=1000, description="after which an event is given up; 20 take an hour"
    )

    @field_validator("secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            key = secret_key(secret.get_secret_value())
            if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
                raise ValueError(f"it must have {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
        return secret

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if len(set(self.urls)) < len(self.urls):
            raise ValueError("two urls are the same")
        return self


def secret_key(secret: str) -> bytes:
    """Return the bytes of a webhook secret: base64 behind ``whsec_``, else UTF-8 text.

    Raises:
        ValueError: if the base64 is not valid.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"behind {SECRET_PREFIX} there must be base64") from None
