"""The operator's choices for logs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
