"""Settings ``[cameras]``: which cameras the server may watch, and at what cost."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr, field_validator

KEY_BYTES = 32


class CameraSettings(BaseModel):
    """Group ``[cameras]``. The server watches cameras as soon as there are any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="whose addresses cameras may have, such as 192.168.7.0/24; empty: private, "
        "link-local and loopback; never a cloud's metadata address",
    )
    files_dir: Path | None = Field(
        default=None, description="folder of video files that may be cameras; none if not set"
    )
    secrets_dir: Path | None = Field(
        default=None, description="folder of the files that a camera's 'secret' names"
    )
    credentials_key: SecretStr | None = Field(
        default=None,
        description="encrypts stored credentials: 32 bytes in URL-safe base64, the same for all "
        "replicas; a file in data_dir if not set",
    )
    ca_file: Path | None = Field(
        default=None, description="authorities (PEM) of cameras' certificates; else the system's"
    )
    max_cameras: int = Field(default=32, ge=0, le=1000, description="cameras; 0: none")
    cpu_share: float = Field(
        default=0.5, gt=0, le=1, description="of the cores, for frames of all cameras together"
    )
    events_days: float = Field(default=30, gt=0, le=3660, description="that events are kept")
    events_max: int = Field(
        default=100_000, ge=100, le=10_000_000, description="events of all cameras that are kept"
    )

    @field_validator("credentials_key")
    @classmethod
    def _is_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            try:
                length = len(base64.urlsafe_b64decode(key.get_secret_value()))
            except (binascii.Error, ValueError):
                length = 0
            if length != KEY_BYTES:
                raise ValueError(f"it must have {KEY_BYTES} bytes in URL-safe base64")
        return key
