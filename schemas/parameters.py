"""Runs of the parameter server: workers pull parameters and push gradients."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from schemas.federation import FEDERATION_NAME_PATTERN, AccountName

RunName = Annotated[str, StringConstraints(pattern=FEDERATION_NAME_PATTERN)]
WorkerName = Annotated[str, StringConstraints(pattern=FEDERATION_NAME_PATTERN)]
MAX_SAMPLES = 2**40


class Sgd(BaseModel):
    """Stochastic gradient descent: v = momentum v + g; w = w - learning_rate v."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["sgd"] = "sgd"
    learning_rate: float = Field(default=0.1, gt=0, le=1e3)
    momentum: float = Field(default=0.0, ge=0, lt=1)


class Adam(BaseModel):
    """Adam (Kingma and Ba, 2015), with corrected moments."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["adam"]
    learning_rate: float = Field(default=0.001, gt=0, le=1e3)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0, le=1)


Optimiser = Annotated[Sgd | Adam, Field(discriminator="kind")]


class NewParameterRun(BaseModel):
    """A run to add."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: RunName
    accounts: list[AccountName] = Field(
        max_length=100, description="Accounts that may pull and push, beside the owner."
    )
    optimiser: Optimiser = Sgd()
    minimum: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Pushes that a step waits for. 1: each push is a step of its own.",
    )
    max_staleness: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Steps that a push may lie behind; older ones are refused and counted.",
    )
    trim: int = Field(
        default=0,
        ge=0,
        le=499,
        description="Of each number, so many of the smallest and of the largest pushes are left "
        "out of the mean, which bounds what so many bad workers can do.",
    )
    patience_seconds: float | None = Field(
        default=None,
        gt=0,
        le=30 * 86_400,
        description="A step does not wait longer for workers that are late or gone. If absent: it "
        "waits for ever.",
    )
    max_norm: float | None = Field(
        default=None, gt=0, le=1e12, description="A push that is longer is shortened to this."
    )

    @model_validator(mode="after")
    def _check_trim(self) -> NewParameterRun:
        if 2 * self.trim >= self.minimum:
            kind, message = "trim", "2 * trim must be less than minimum: no push would be left"
            raise PydanticCustomError(kind, message)
        return self


class ParameterRun(BaseModel):
    """A run and how far it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    owner: str
    created: datetime
    options: NewParameterRun
    version: int = Field(description="Steps that were done, from 1 on; 0: no parameters yet.")
    waiting: int = Field(description="Pushes that wait for others.")
    pushes: int = Field(description="Pushes that were accepted.")
    samples: int = Field(description="Samples that these were of.")
    stale: int = Field(description="Pushes that were refused since they came too late.")
    refused: int = Field(description="Pushes that were refused for another reason.")
    workers: dict[str, int] = Field(
        description="The version that each worker's last push was of, by account and worker."
    )


class ParameterRunList(BaseModel):
    """All runs, by name."""

    runs: list[ParameterRun]


class Pushed(BaseModel):
    """What became of a push."""

    version: int = Field(description="The version that is to be pulled now.")
    is_applied: bool = Field(description="Whether it made a step; else it waits for others.")
    waiting: int = Field(description="Pushes that wait now.")
