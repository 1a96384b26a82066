"""Settings of logs and traces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Collector = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$", max_length=2048, min_length=1)
]
"""URL without query or credentials, which belong in ``OTEL_EXPORTER_OTLP_HEADERS``."""


class ObservabilitySettings(BaseModel):
    """Group ``[observability]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, one JSON object a line elsewhere"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe level that is written"
    )
    access_log: bool = Field(default=True, description="one line for every request answered")
    otlp_endpoint: Collector | None = Field(
        default=None,
        description="where traces go by OTLP/HTTP, such as http://127.0.0.1:4318; off if not set",
    )
    trace_sample_ratio: float = Field(
        default=0.1, ge=0, le=1, description="share of the requests that are traced"
    )
    trace_parents_per_second: float = Field(
        default=10,
        ge=0,
        le=10_000,
        description="traces beyond it, because a caller with a token sends one's `traceparent`",
    )
    service_name: str = Field(
        default="potoo", min_length=1, max_length=255, description="as traces name this server"
    )
