"""Rollouts: a version that is tried beside the default one, and what is known of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, PositiveInt


class RolloutMode(StrEnum):
    """How the version is tried."""

    SHADOW = "shadow"
    """It answers copies of calls, at the lowest priority; nobody sees its answers."""
    CANARY = "canary"
    """It answers a share of the callers."""


class RolloutEnd(StrEnum):
    """Why a rollout ended."""

    PROMOTED = "promoted"
    STOPPED = "stopped"
    """By an account, or because another version became the default one."""
    GOLDENS = "goldens"
    """The version's canary fails, or it cannot be served."""
    ERRORS = "errors"
    WRONG_ANSWERS = "wrong_answers"
    DISAGREEMENT = "disagreement"


ROLLED_BACK = frozenset(
    {RolloutEnd.GOLDENS, RolloutEnd.ERRORS, RolloutEnd.WRONG_ANSWERS, RolloutEnd.DISAGREEMENT}
)
"""Ends by rule that say that the version is worse."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RolloutRules(_Document):
    """When a rollout ends by itself. Shares are compared with 95 % confidence (Newcombe 1998)."""

    min_answers: PositiveInt = Field(
        default=50, description="Answers of the version before its shares are judged."
    )
    max_more_errors: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of failed calls above that of the default version.",
    )
    max_more_wrong: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of answers that people labelled otherwise, above that of the default "
        "version.",
    )
    max_disagreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of shadow answers with another first label; null: not judged.",
    )
    promote_after: PositiveInt | None = Field(
        default=None,
        description="Answers after which the version is promoted, if nothing speaks against it; "
        "null: a person decides.",
    )


class RolloutOptions(_Document):
    """How to try a version."""

    mode: RolloutMode
    version: PositiveInt
    share: float = Field(
        default_factory=lambda given: 0.1 if given.get("mode") is RolloutMode.CANARY else 1.0,
        gt=0,
        le=1,
        description="Canary: share of callers that it answers; 0.1 if absent. Shadow: share of "
        "calls that may be copied to it; 1 if absent.",
    )
    rules: RolloutRules = RolloutRules()


class Rollout(RolloutOptions):
    """A version that is tried beside the default one, as stored with the model's policy."""

    begun: datetime
    by: str = Field(description="The account that began it.")


class EndedRollout(_Document):
    """The last rollout of a model."""

    mode: RolloutMode
    version: PositiveInt
    begun: datetime
    ended: datetime
    reason: RolloutEnd
    by: str = Field(description="The account that ended it; `rule` if a rule did.")


class RolloutCounts(BaseModel):
    """Answers of one version since the rollout began, counted by this process of the server."""

    version: int
    answers: int
    errors: int = Field(description="Calls that failed within the model.")
    right: int = Field(description="Answers that people labelled the same, in any process.")
    wrong: int = Field(description="Answers that people labelled otherwise, in any process.")
    inference_ms: float | None = Field(description="Mean duration of the model's run.")


class RolloutReport(Rollout):
    """A rollout, and what is known of the version so far."""

    current: RolloutCounts = Field(description="The default version.")
    tried: RolloutCounts = Field(description="The version of the rollout.")
    compared: int = Field(description="Shadow: calls that both versions answered.")
    agreement: float | None = Field(description="Shadow: share of them with the same first label.")
    score_shift: float | None = Field(
        description="Shadow: mean difference of the score of the first label, tried less current."
    )
    dropped: int = Field(
        description="Shadow: copies that were left out, since calls waited, or copies took their "
        "share of the time."
    )
    cost: float | None = Field(
        description="Mean duration of a run relative to that of the default version."
    )
    missing: str = Field(description="What a decision by rule waits for, in words.")
