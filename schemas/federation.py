"""Federations: sites that keep their photos and send sums, from which one head is taught."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints, field_validator

from schemas.classify import MODEL_NAME_PATTERN
from schemas.teach.dataset import ClassName, check_classes, class_key

FEDERATION_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_SITES = 200
MAX_SEQUENCE = 2**53
FederationName = Annotated[str, StringConstraints(pattern=FEDERATION_NAME_PATTERN)]
SiteName = Annotated[str, StringConstraints(pattern=FEDERATION_NAME_PATTERN)]
AccountName = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
LoneRule = Literal["keep", "drop"]


class UpdateFault(StrEnum):
    """Why the update of a site is refused. The word before the sentence in ``errors``."""

    MALFORMED = "malformed"
    """Not in the format, cut short, or of another length than its header says."""
    CHECKSUM = "checksum"
    """Damaged on the way, or changed."""
    WRONG_SITE = "wrong_site"
    """Made for another site."""
    WRONG_BASE = "wrong_base"
    """The features are of another base, another version of it, or prepared in another way."""
    WRONG_SHAPE = "wrong_shape"
    NOT_FINITE = "not_finite"
    TOO_LARGE = "too_large"
    """A number is larger than any feature can make it."""
    NOT_POSITIVE = "not_positive"
    """The matrix of products is not positive semidefinite: photos cannot have given it."""
    INCONSISTENT = "inconsistent"
    """Counts, means and sums contradict one another."""
    TOO_FEW = "too_few"
    """Of so few photos the sums would show single ones."""
    REPLAYED = "replayed"
    """Its sequence number is not above that of the last update."""
    CLASSES = "classes"
    """Class names that are not agreed, or two that are one class."""


class NewFederation(BaseModel):
    """A federation to add."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FederationName
    model: _ModelName = Field(description="Model that gets the versions; made if it is new.")
    base: _ModelName | None = Field(
        default=None,
        description="Model whose features the sites use. If absent: imagenet, or the default "
        "model.",
    )
    base_version: PositiveInt | None = Field(
        default=None, description="If absent: the default version."
    )
    feature: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Tensor of the base's graph. If absent: the one that its last layer reads.",
    )
    sites: dict[SiteName, list[AccountName]] = Field(
        max_length=MAX_SITES,
        description="Sites that may send sums, and the accounts that may send each one's.",
    )
    classes: list[ClassName] = Field(
        default=[],
        max_length=1000,
        description="The classes, in order. Empty: all that the sites name, sorted.",
    )
    synonyms: dict[ClassName, ClassName] = Field(
        default={}, max_length=1000, description="Other names of classes: from these to those."
    )
    lone_classes: LoneRule = Field(
        default="keep",
        description="What becomes of a class that one site alone has: kept, or left out; then its "
        "photos are examples of none of the classes.",
    )

    @field_validator("classes")
    @classmethod
    def _check_classes(cls, names: list[str]) -> list[str]:
        return check_classes(names)

    @field_validator("synonyms")
    @classmethod
    def _check_synonyms(cls, names: dict[str, str]) -> dict[str, str]:
        keys = {class_key(name) for name in names}
        if len(keys) < len(names):
            message = "two of the names differ in case or spaces alone"
            raise ValueError(message)
        for name, meant in names.items():
            if class_key(meant) in keys:
                message = f"'{name}' means '{meant}', which means another one itself"
                raise ValueError(message)
        return names


class FederationBase(BaseModel):
    """The base whose features the sites sum."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    sha256: str = Field(description="Digest of its graph.")
    tensor: str = Field(description="The tensor that is the features.")
    width: int = Field(ge=1, description="Number of features.")
    features: str = Field(
        description="Digest of all that the features depend on: graph, preprocessing, tensor."
    )


class HeldOut(BaseModel):
    """What a site's own head gives for its own photos, each by a head that did not see its group.

    A head of all sites is better; its temperature is near that of the sites' heads.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: int = Field(ge=1, le=2**40)
    right: int = Field(ge=0, le=2**40)
    temperature: float = Field(ge=0.01, le=100, allow_inf_nan=False)


class Site(BaseModel):
    """A site and what it has sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    accounts: list[str] = Field(description="Accounts that may send its sums.")
    photos: int = Field(default=0, description="Photos that its sums are of; 0: none are here.")
    classes: dict[str, int] = Field(
        default={}, description="Photos of each class, under the site's own names."
    )
    held_out: HeldOut | None = Field(
        default=None, description="null: the site has one class, or did not say."
    )
    sequence: int = Field(
        default=0, description="Of the last update that was accepted; the next one must be higher."
    )
    digest: str = Field(default="", description="SHA-256 of the update.")
    bytes: int = 0
    received: datetime | None = None
    received_from: str = Field(default="", description="The account that sent it.")


class AgreedClass(BaseModel):
    """A class of the federation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    photos: int
    sites: list[str] = Field(description="Sites that have photos of it.")
    names: list[str] = Field(description="How sites write it, if differently.")
    is_kept: bool = Field(description="False: one site alone has it, and the rule is 'drop'.")


class Federation(BaseModel):
    """A federation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    base: FederationBase
    owner: str = Field(description="The account that added it; it publishes, and removes sites.")
    created: datetime
    lone_classes: LoneRule
    sites: list[Site]
    classes: list[AgreedClass] = Field(description="Of the sums that are here.")
    published: list[int] = Field(description="Versions of the model that it has published.")


class FederationList(BaseModel):
    """All federations, by name."""

    federations: list[Federation]


class PublishOptions(BaseModel):
    """How to make a version of the sums."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    leave_out: list[SiteName] = Field(
        default=[], max_length=MAX_SITES, description="Sites whose sums are not used."
    )
    strength: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        description="Of the ridge. If absent: chosen by generalised cross-validation.",
    )
    dry_run: bool = Field(default=False, description="Publish nothing: say what would be.")
    promote: bool = Field(
        default=False, description="Make it the default version; needs the scope models:write."
    )


class SiteHarm(BaseModel):
    """What leaving a site out does to the answers for the other sites' photos."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str
    change: float | None = Field(
        description="Change of the squared error on other sites, as a share, from leaving it in: "
        "above 0, it makes the others worse. null: no other site can judge it."
    )
    is_harmful: bool = Field(description="The change is above the bound, and unlike the others'.")


class Published(BaseModel):
    """A version that was made of sums."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    version: int | None = Field(description="null: a dry run.")
    photos: int
    classes: list[AgreedClass]
    sites: list[SiteHarm] = Field(description="Those whose sums were used.")
    strength: float
    temperature: float = Field(
        description="By which logits are divided: the mean of those that the sites measured, by "
        "photos; a usual one if none could."
    )
