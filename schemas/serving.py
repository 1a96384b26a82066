"""Serving policies: ``serving.json`` of one model, ``repository.json`` of all of them.

The first lies beside a model's versions and says which of them are loaded, and which one answers.
The second lies beside the models and says which of those answers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from schemas.classify import MODEL_NAME_PATTERN

POLICY_FILE = "serving.json"
REPOSITORY_FILE = "repository.json"
LATEST: Literal["latest"] = "latest"
MAX_HISTORY = 20


def _free_label(label: str) -> str:
    if label == LATEST:
        message = f"'{LATEST}' is no label: it always means the newest version"
        raise ValueError(message)
    return label


Label = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$"), AfterValidator(_free_label)
]
"""A name that is moved from version to version, such as ``stable``."""

DefaultVersion = Literal["latest"] | PositiveInt | Label


class VersionState(StrEnum):
    """Where one version of a model stands."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    READY = "READY"
    FAILED = "FAILED"
    UNLOADING = "UNLOADING"


class _Document(BaseModel):
    """Unknown members are refused: a misspelt one must not be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Promotion(_Document):
    """How things were before a promotion: what a rollback returns to."""

    default: DefaultVersion
    version: PositiveInt = Field(description="The version that answered by default then.")


class ServingPolicy(_Document):
    """What is served of one model. A model without the file serves its newest version."""

    default: DefaultVersion = Field(
        default=LATEST,
        description="Answers when no version is named: latest (that is ready), a number, a label.",
    )
    labels: dict[Label, PositiveInt] = Field(
        default={}, max_length=32, description="Versions by name; they are loaded too."
    )
    load: tuple[PositiveInt, ...] = Field(
        default=(), max_length=64, description="Versions that are loaded besides."
    )
    enabled: bool = Field(default=True, description="Whether anything of the model is loaded.")
    history: tuple[Promotion, ...] = Field(
        default=(), max_length=MAX_HISTORY, description="What promotions replaced, newest last."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.default, str) and self.default not in {LATEST, *self.labels}:
            message = f"default is the label '{self.default}', which labels does not have"
            raise ValueError(message)
        return self


class RepositoryPolicy(_Document):
    """Choices for a repository as a whole. Without the file, nothing is chosen."""

    default_model: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)] | None = Field(
        default=None, description="Answers calls that name no model; null: none is chosen."
    )


class ModelVersion(BaseModel):
    """One version of a model, as it stands."""

    version: int
    state: VersionState
    default: bool = Field(description="Whether it answers when no version is named.")
    labels: list[str]
    reason: str | None = Field(
        default=None, description="Why it failed, for those who may load models."
    )


class ModelVersions(BaseModel):
    """What became of a model by a call that changed it."""

    name: str
    versions: list[ModelVersion]


class ChosenModel(BaseModel):
    """Which model answers calls that name none, once one was chosen."""

    chosen: str = Field(description="The choice that is stored for every server of the repository.")
    answers: str | None = Field(
        description="What answers on this server: the chosen model, unless the server's setting "
        "`default_model` names another one."
    )
