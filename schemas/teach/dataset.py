"""Datasets of labelled photos: what a caller configures, sends and is shown."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.classify import MODEL_NAME_PATTERN

DATASET_NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
PHOTO_ID_PATTERN = r"^[0-9a-f]{20}$"
MAX_CLASSES = 1000
MAX_CLASS_CHARS = 100
MAX_GROUP_CHARS = 255
MAX_LABELS = 100
"""Of one photo."""
MAX_SHOWN = 1000
"""Refused files and contradictions that a report of an import lists; all are counted."""


def class_name(text: str) -> str:
    """Return a class name in its one form: Unicode NFC, single spaces inside, none around.

    Raises:
        ValueError: it is empty, too long, or has control characters.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > MAX_CLASS_CHARS:
        message = f"a class name has 1 to {MAX_CLASS_CHARS} characters"
        raise ValueError(message)
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} for char in name):
        message = "a class name has no control characters"
        raise ValueError(message)
    return name


def class_key(name: str) -> str:
    """Return what two names share that differ in case or spaces alone: they are one class."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def check_classes(names: list[str]) -> list[str]:
    """Return the names; refuse two that differ in case or spaces alone.

    Raises:
        ValueError: two names are the same but for case or spaces.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(class_key(name), name)
        if other is not name:
            message = f"'{other}' and '{name}' differ in case or spaces alone: write one of them"
            raise ValueError(message)
    return names


def _check_dataset_name(name: str) -> str:
    if not re.fullmatch(DATASET_NAME_PATTERN, name) or name.endswith("\n"):
        message = "Write 1 to 63 small letters, digits, - and _, first a letter or digit"
        raise PydanticCustomError("dataset_name", message)
    return name


DatasetName = Annotated[
    str,
    AfterValidator(_check_dataset_name),
    WithJsonSchema({"type": "string", "pattern": DATASET_NAME_PATTERN}),
]
ClassName = Annotated[
    str,
    AfterValidator(class_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CLASS_CHARS}),
]
ClassNames = Annotated[
    list[ClassName], Field(max_length=MAX_CLASSES), AfterValidator(check_classes)
]
Labels = Annotated[list[ClassName], Field(max_length=MAX_LABELS), AfterValidator(check_classes)]
Group = Annotated[str, Field(min_length=1, max_length=MAX_GROUP_CHARS)]
PhotoId = Annotated[str, Field(pattern=PHOTO_ID_PATTERN)]


class DatasetKind(StrEnum):
    """How many labels a photo has."""

    SINGLE = "single"
    """Exactly one."""
    MULTI = "multi"
    """Any number, also none."""


class PhotoSource(StrEnum):
    """How a photo came into the dataset. Labels a metric."""

    UPLOAD = "upload"
    CAMERA = "camera"
    ANSWER = "answer"
    """A served request whose answer was corrected, or was unsure."""


class PhotoOrder(StrEnum):
    """Order of a list of photos."""

    NEWEST = "newest"
    USEFUL = "useful"
    """Those first whose labels would help the most, by the last run."""
    SUSPECT = "suspect"
    """Those first whose label the others contradict, by the last run."""


class ExportFormat(StrEnum):
    """Form of an export."""

    FOLDERS = "folders"
    """A zip file: a folder for each class, and ``labels.csv``."""
    CSV = "csv"
    LABEL_STUDIO = "label-studio"

    @property
    def media_type(self) -> str:
        """Media type of the export."""
        return {"folders": "application/zip", "csv": "text/csv"}.get(self, "application/json")

    @property
    def suffix(self) -> str:
        """Suffix of the name of its file."""
        return {"folders": ".zip", "csv": ".csv"}.get(self, ".json")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewDataset(_Body):
    """A dataset to add."""

    name: DatasetName
    kind: DatasetKind = DatasetKind.SINGLE
    classes: ClassNames = Field(default=[], examples=[["glass", "paper"]])
    max_photos: int | None = Field(
        default=None, ge=1, description="If absent: as many as the server allows a dataset."
    )
    max_bytes: int | None = Field(
        default=None, ge=1, description="If absent: as many as the server allows a dataset."
    )


class DatasetChange(_Body):
    """New values of a dataset; absent members stay."""

    classes: ClassNames | None = Field(
        default=None, description="All classes, in order. One that photos have cannot be left out."
    )
    rename: dict[ClassName, ClassName] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_CLASSES,
        description="Old names to new ones, in the classes and in all labels, before `classes` is "
        "looked at. The name of another class merges the two.",
        examples=[{"Glas": "glass"}],
    )
    max_photos: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)


class ClassCount(BaseModel):
    """A class, and how many photos have its label."""

    name: str
    photos: int


class Dataset(BaseModel):
    """A dataset and what is in it."""

    name: str
    kind: DatasetKind
    classes: list[ClassCount]
    photos: int
    labelled: int
    bytes: int
    max_photos: int
    max_bytes: int
    created: datetime
    created_by: str


class DatasetList(BaseModel):
    """All datasets, by name."""

    datasets: list[Dataset]


class ServedAnswer(_Body):
    """Answer of a model for the photo when it was served."""

    model: str = Field(pattern=MODEL_NAME_PATTERN)
    version: int = Field(ge=1)
    label: str | None = Field(
        default=None, max_length=255, description="If absent: the model abstained."
    )
    score: float | None = Field(default=None, ge=0, le=1)


class Photo(BaseModel):
    """A photo of a dataset. Its image is at `.../photos/{id}/image`."""

    id: str = Field(description="Grows with time: the newest photo has the largest.")
    dataset: str
    digest: str = Field(description="SHA-256 of the file, in hexadecimal.")
    width: int
    height: int
    bytes: int
    added: datetime
    added_by: str
    source: PhotoSource
    captured: datetime | None = Field(
        description="When it was taken: as given, else by its EXIF. Without a time zone in the "
        "EXIF, its clock is taken for UTC."
    )
    group: str | None = Field(
        description="As given. Photos of one group are never split between fitting and judging; "
        "without one, photos taken within 10 s of one another are a group."
    )
    labels: list[str] | None = Field(
        description="Class names: exactly one if the dataset is `single`. null: not labelled."
    )
    labelled: datetime | None
    labelled_by: str | None
    answer: ServedAnswer | None


class PhotoList(BaseModel):
    """A page of photos."""

    photos: list[Photo]
    total: int = Field(description="Photos that the filters leave, on all pages.")
    next: str | None = Field(description="`after` of the next page; null: this is the last one.")


class PhotoChange(_Body):
    """New label or group of a photo; absent members stay, null removes.

    `label` is short for `labels` with one name.
    """

    label: ClassName | None = None
    labels: Labels | None = None
    group: Group | None = None

    @model_validator(mode="after")
    def _check_members(self) -> PhotoChange:
        given = self.model_fields_set
        if not given:
            message = "Give label, labels or group"
            raise ValueError(message)
        if {"label", "labels"} <= given:
            message = "Give label or labels, not both"
            raise ValueError(message)
        return self

    @property
    def has_labels(self) -> bool:
        """Whether the labels are to change."""
        return bool({"label", "labels"} & self.model_fields_set)

    @property
    def new_labels(self) -> list[str] | None:
        """Return the new labels; None: not labelled."""
        return [self.label] if self.label is not None else self.labels


class NewPhotoOptions(_Body):
    """Options of a photo to add."""

    label: list[ClassName] = Field(
        default=[], max_length=MAX_LABELS, description="Class name; several if `multi`."
    )
    group: Group | None = None
    captured: AwareDatetime | None = Field(
        default=None, description="When it was taken. If absent: as its EXIF says."
    )
    source: PhotoSource = PhotoSource.UPLOAD
    model: str | None = Field(
        default=None, pattern=MODEL_NAME_PATTERN, description="Model that answered the photo."
    )
    version: int | None = Field(default=None, ge=1, description="Its version.")
    answer: str | None = Field(
        default=None, max_length=255, description="Its answer. If absent: it abstained."
    )
    score: float | None = Field(default=None, ge=0, le=1, description="Score of its answer.")

    @property
    def served(self) -> ServedAnswer | None:
        """The answer of the model that served the photo."""
        if self.model is None or self.version is None:
            return None
        return ServedAnswer(
            model=self.model, version=self.version, label=self.answer, score=self.score
        )


class PhotoQuery(_Body):
    """Filters, order and page of a list of photos."""

    label: ClassName | None = Field(default=None, description="Photos with this label.")
    labelled: bool | None = Field(default=None, description="Photos with, or without, a label.")
    order: PhotoOrder = PhotoOrder.NEWEST
    limit: int = Field(default=100, ge=1, le=1000)
    after: PhotoId | None = Field(default=None, description="`next` of the page before.")


class RefusedFile(BaseModel):
    """A file that was not imported."""

    file: str
    code: str = Field(description="As in a problem: such as `invalid_image`.")
    reason: str


class Contradiction(BaseModel):
    """One photo with two labels. The first one is kept."""

    file: str
    photo: str = Field(description="Id of the photo.")
    kept: list[str]
    other: list[str]


class MergedClass(BaseModel):
    """A class name that differs from another in case or spaces alone."""

    given: str
    used: str


class ImportReport(BaseModel):
    """Report of an import. Every file is added, a duplicate, or refused."""

    dataset: str
    format: Literal["folders", "csv", "label-studio"]
    files: int
    added: int
    duplicates: int = Field(description="Files whose photo is in the dataset already.")
    labelled: int = Field(
        description="Duplicates that got the label of the import: they had none, or it is replaced."
    )
    new_classes: list[str]
    merged_classes: list[MergedClass]
    refused: int
    refused_files: list[RefusedFile] = Field(description="The first 1000.")
    contradicted: int
    contradictions: list[Contradiction] = Field(description="The first 1000.")
