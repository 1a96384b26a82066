"""From the rows of a dataset to a job: photos with labels, their groups, the base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import Conflict, ModelNotFound
from schemas.teach.dataset import DatasetKind
from schemas.teach.run import DEFAULT_BASE, RunBase, RunFailure, RunOptions
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.serving_policy import target
from service.core.repository.version_files import read_manifest
from service.teach.datasets.photos.grouping import group_photos
from service.teach.datasets.records import StoredDataset, StoredPhoto
from service.teach.datasets.store.files import PhotoFiles
from service.teach.runs.job import Job, JobPhoto
from service.teach.runs.problems import RunFailed
from service.teach.runs.records import StoredRun

FEATURES = Path("teach") / "features"
STAGING = Path("teach") / "runs"
"""Folders in the data folder."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where bases, features and the files of unpublished versions are."""

    models: Path
    data: Path

    @property
    def features(self) -> Path:
        """The cache of features."""
        return self.data / FEATURES

    def staging(self, run: str) -> Path:
        """Return the folder of the files that a run has written."""
        return self.data / STAGING / run


def find_base(repository: Repository, options: RunOptions, default: str | None) -> RunBase:
    """Return the version whose features are used. Blocks.

    Args:
        default: the default model of the server, if it has one.

    Raises:
        ModelNotFound: there is no such model or version.
        Conflict: it takes no photos, or its files are wrong.
    """
    try:
        names = repository.names()
        name = options.base or (DEFAULT_BASE if DEFAULT_BASE in names else default)
        if name is None:
            message = f"There is no model '{DEFAULT_BASE}' and no default model: name a base."
            raise Conflict(message)
        if name not in names:
            message = f"There is no model '{name}' to be the base."
            raise ModelNotFound(message)
        versions = repository.versions(name)
        number = options.base_version or target(repository.policy(name), versions)
        if number is None or number not in versions:
            message = f"There is no version {number} of the base '{name}'."
            raise ModelNotFound(message)
        manifest = read_manifest(versions[number])
    except ModelRefused as error:
        raise Conflict("The base cannot be read.") from error
    if manifest.input.kind != "image":
        message = f"The base '{name}' takes {manifest.input.takes}, and not photos."
        raise Conflict(message)
    return RunBase(name=name, version=number, sha256=manifest.sha256)


def check_labels(dataset: StoredDataset, photos: Sequence[StoredPhoto]) -> None:
    """Require that there is something to tell apart.

    Raises:
        Conflict: fewer than two classes have labelled photos.
    """
    labelled = [photo for photo in photos if photo.labels is not None]
    used = sorted({label for photo in labelled for label in photo.labels or ()})
    least = 2 if dataset.kind is DatasetKind.SINGLE else 1
    if not labelled:
        raise Conflict("There are no labelled photos: label some of at least two classes.")
    if len(used) < least:
        which = f"All labelled photos are '{used[0]}'" if used else "No photo has a class"
        raise Conflict(f"{which}: label photos of at least two classes.")


def make_job(
    run: StoredRun,
    dataset: StoredDataset,
    photos: Sequence[StoredPhoto],
    foreign: Sequence[StoredPhoto],
    path_of: Callable[[StoredPhoto], Path],
    folders: Folders,
) -> Job:
    """Return the job of a run.

    Args:
        path_of: returns where the bytes of a photo are.

    Raises:
        RunFailed: the labels were removed meanwhile.
    """
    labelled = [photo for photo in photos if photo.labels is not None]
    try:
        check_labels(dataset, labelled)
    except Conflict as error:
        raise RunFailed(RunFailure.NOT_ENOUGH_LABELS, error.detail) from error
    places = {name: place for place, name in enumerate(dataset.classes)}
    groups = group_photos(labelled)
    options = run.options
    return Job(
        kind="teach",
        base=str(base_folder(folders, run.base)),
        base_sha256=run.base.sha256,
        cache=str(folders.features),
        photos=tuple(
            JobPhoto(
                photo.id,
                photo.digest,
                str(path_of(photo)),
                tuple(places[label] for label in photo.labels or ()),
                group,
            )
            for photo, group in zip(labelled, groups, strict=True)
        ),
        feature=options.feature,
        is_multi=dataset.kind is DatasetKind.MULTI,
        classes=dataset.classes,
        class_weights=options.class_weights,
        precision=options.precision,
        foreign=tuple(JobPhoto(photo.id, photo.digest, str(path_of(photo))) for photo in foreign),
        others=tuple(
            JobPhoto(photo.id, photo.digest, str(path_of(photo)))
            for photo in photos
            if photo.labels is None
        ),
        output=str(folders.staging(run.id)),
        model=options.model,
        dataset=dataset.name,
        run=run.id,
    )


def warm_job(
    base: RunBase, feature: str | None, digests: Sequence[str], files: PhotoFiles, folders: Folders
) -> Job:
    """Return a job that computes the features of photos ahead."""
    return Job(
        kind="warm",
        base=str(base_folder(folders, base)),
        base_sha256=base.sha256,
        cache=str(folders.features),
        photos=tuple(JobPhoto(digest, digest, str(files.path(digest))) for digest in digests),
        feature=feature,
    )


def base_folder(folders: Folders, base: RunBase) -> Path:
    """Return the folder of a base's version, which may be gone."""
    return folders.models / base.name / str(base.version)
