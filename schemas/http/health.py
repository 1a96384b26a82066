"""Response bodies of the liveness and readiness probes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process responds."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Ready if every model is warm and passed its last canary inference."""

    ready: bool
    models: dict[str, bool] = Field(description="Readiness by model name.")
    store: bool = Field(
        description="Whether the account store is reachable; without it, tokens are refused."
    )
