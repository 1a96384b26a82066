"""Settings ``[sensors]``: where sensors may send, how much is kept, and sensors of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator

from schemas.sensors import SensorName, SensorSpec

MIB = 2**20


class RawPort(BaseModel):
    """A port that takes plain float32 numbers, without a token, for one sensor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(ge=0, le=65_535, description="port; 0 takes a free one")
    sensor: SensorName
    allow: tuple[IPvAnyNetwork, ...] = Field(
        min_length=1, description="addresses that may connect, such as 192.168.7.20/32"
    )


class SensorSettings(BaseModel):
    """Group ``[sensors]``. Without a port, MQTT or a definition, nothing listens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tcp_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="port of the framed protocol of docs/tcp.md, such as 7700; off if not set",
    )
    tcp_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) for tcp_port; without it no TLS"
    )
    tcp_key: Path | None = Field(default=None, description="the key of tcp_cert (PEM)")
    raw: tuple[RawPort, ...] = Field(
        default=(),
        max_length=64,
        description="ports of plain float32 bytes, without a token: port, sensor, allow (networks)",
    )
    mqtt: bool = Field(
        default=False,
        description="take samples from the broker of [mqtt], and publish answers there",
    )
    mqtt_group: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="shared subscription of replicas; every message then holds whole windows",
    )
    mqtt_session_seconds: int = Field(
        default=86_400,
        ge=0,
        le=4_294_967_294,
        description="that the broker keeps samples for a server that is away",
    )
    definitions: dict[SensorName, SensorSpec] = Field(
        default={},
        max_length=10_000,
        description="sensors by name, added and changed at every start; callers cannot change them",
    )
    max_sensors: int = Field(default=2000, ge=0, le=10_000, description="sensors; 0: none")
    max_connections: int = Field(
        default=2000, ge=1, le=100_000, description="of sensors, on all their ports of a process"
    )
    hello_seconds: float = Field(
        default=5, gt=0, le=600, description="for a device to introduce itself after connecting"
    )
    idle_seconds: float = Field(
        default=60, gt=0, le=86_400, description="a connection without a byte is closed"
    )
    max_frame_bytes: int = Field(
        default=MIB, ge=1024, le=16 * MIB, description="payload of one frame or message"
    )
    channel_bytes: int = Field(
        default=MIB,
        ge=1024,
        le=1024 * MIB,
        description="of samples that wait, for a sensor; at least four windows",
    )
    buffer_bytes: int = Field(
        default=256 * MIB, ge=MIB, description="of samples that wait, for all sensors of a process"
    )
    results_days: float = Field(default=7, gt=0, le=3660, description="that results are kept")
    results_max: int = Field(
        default=100_000, ge=100, le=100_000_000, description="results of all sensors that are kept"
    )
    events_days: float = Field(default=30, gt=0, le=3660, description="that events are kept")
    events_max: int = Field(
        default=100_000, ge=100, le=10_000_000, description="events of all sensors that are kept"
    )

    @property
    def has_ports(self) -> bool:
        """Whether sensors may connect over TCP."""
        return self.tcp_port is not None or bool(self.raw)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.tcp_cert is None) != (self.tcp_key is None):
            raise ValueError("tcp_cert and tcp_key go together")
        ports = [one.port for one in self.raw if one.port]
        if len({*ports, self.tcp_port}) <= len(ports):
            raise ValueError("two ports are the same")
        if len(self.definitions) > self.max_sensors:
            raise ValueError("there are more definitions than max_sensors")
        return self
