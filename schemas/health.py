"""Liveness and readiness on the wire."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Every model is warm and its canary passed the last time it was asked."""

    ready: bool
    models: dict[str, bool] = Field(description="Readiness by model name.")
    store: bool = Field(
        description="Whether the account store answered lately; without it tokens are refused."
    )
