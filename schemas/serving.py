"""Serving policies: ``serving.json`` of one model, ``repository.json`` of all of them.

``serving.json`` lies in a model's folder: versions to load, and the model's default version.
``repository.json`` lies in the repository's folder: the default model.
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

from schemas.classify import LABEL_PATTERN, MODEL_NAME_PATTERN
from schemas.manifest.numeric import is_absent
from schemas.rollout import EndedRollout, Rollout

POLICY_FILE = "serving.json"
REPOSITORY_FILE = "repository.json"
LATEST: Literal["latest"] = "latest"
MAX_HISTORY = 20


def _free_label(label: str) -> str:
    if label == LATEST:
        message = f"'{LATEST}' cannot be a label: it always means the newest version"
        raise ValueError(message)
    return label


Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN), AfterValidator(_free_label)]
"""A name that is moved from version to version, such as ``stable``."""

DefaultVersion = Literal["latest"] | PositiveInt | Label


class VersionState(StrEnum):
    """State of a model version."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    READY = "READY"
    FAILED = "FAILED"
    UNLOADING = "UNLOADING"


class _Document(BaseModel):
    """Base class that rejects unknown members, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Promotion(_Document):
    """The state before a promotion, which a rollback restores."""

    default: DefaultVersion
    version: PositiveInt = Field(description="The model's default version at that time.")


class ServingPolicy(_Document):
    """Which versions of a model are served. Without the file: the newest one."""

    default: DefaultVersion = Field(
        default=LATEST,
        description="Default version: 'latest' (the newest that is ready), a number or a label.",
    )
    labels: dict[Label, PositiveInt] = Field(
        default={}, max_length=32, description="Versions by label; these are loaded."
    )
    load: tuple[PositiveInt, ...] = Field(
        default=(), max_length=64, description="Further versions to load."
    )
    enabled: bool = Field(default=True, description="False: no version is loaded.")
    history: tuple[Promotion, ...] = Field(
        default=(), max_length=MAX_HISTORY, description="States before promotions, newest last."
    )

    rollout: Rollout | None = Field(
        default=None,
        exclude_if=is_absent,
        description="A version that is tried beside the default one; it is loaded.",
    )
    last_rollout: EndedRollout | None = Field(default=None, exclude_if=is_absent)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(self.default, str) and self.default not in {LATEST, *self.labels}:
            message = f"default is the label '{self.default}', which labels does not define"
            raise ValueError(message)
        return self


class RepositoryPolicy(_Document):
    """Policy of the whole repository. Without the file there is no default model."""

    default_model: Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)] | None = Field(
        default=None, description="Serves calls that name no model; null: no default."
    )


class ModelVersion(BaseModel):
    """State of one version of a model."""

    version: int
    state: VersionState
    default: bool = Field(description="Whether this is the model's default version.")
    labels: list[str]
    reason: str | None = Field(
        default=None, description="Reason of a failure; shown with the scope `models:write`."
    )


class ModelVersions(BaseModel):
    """Versions of a model after a change."""

    name: str
    versions: list[ModelVersion]


class ChosenModel(BaseModel):
    """The default model: it serves calls that name no model."""

    chosen: str = Field(description="Default model stored for all servers of the repository.")
    answers: str | None = Field(
        description="Default model of this server: the chosen one, unless the server's setting "
        "`default_model` names another."
    )
