"""The sums of labelled photos where they lie, in the process of a command. Blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.federation import FederationBase
from schemas.operator_error import OperatorError
from schemas.teach.dataset import DatasetKind
from schemas.teach.run import RunBase, SkippedPhoto
from service.federation.computing import held_out_of, site_sums
from service.federation.wire import SiteSums
from service.teach.datasets.photos.grouping import group_photos
from service.teach.datasets.records import StoredDataset, StoredPhoto
from service.teach.runs.extracting import Extracting
from service.teach.runs.job import Job, JobPhoto, Message
from service.teach.runs.preparing import Folders, base_folder


class NoSums(OperatorError):
    """There is nothing to sum. For the operator."""


@dataclass(frozen=True, slots=True)
class SumsOptions:
    """What to sum, and for whom. ``feature``: a tensor of the base; None: the penultimate."""

    base: RunBase
    feature: str | None
    site: str
    sequence: int


def sums_of_photos(
    dataset: StoredDataset,
    photos: Sequence[StoredPhoto],
    path_of: Callable[[StoredPhoto], Path],
    options: SumsOptions,
    folders: Folders,
) -> tuple[SiteSums, list[SkippedPhoto]]:
    """Return the sums of the labelled photos of a dataset, and the photos that are left out.

    Raises:
        NoSums: photos have several labels, or none can be read.
        RunFailed: the base cannot be used, files are missing, or the disk is full.
    """
    if dataset.kind is not DatasetKind.SINGLE:
        message = "photos with several labels have no sums: use a dataset of the kind 'single'"
        raise NoSums(message)
    places = {name: place for place, name in enumerate(dataset.classes)}
    labelled = [one for one in photos if one.labels]
    given = tuple(
        JobPhoto(one.id, one.digest, str(path_of(one)), (places[one.labels[0]],), group)
        for one, group in zip(labelled, group_photos(labelled), strict=True)
        if one.labels
    )
    job = Job(
        kind="warm",
        base=str(base_folder(folders, options.base)),
        base_sha256=options.base.sha256,
        cache=str(folders.features),
        photos=given,
        feature=options.feature,
    )
    skipped: list[SkippedPhoto] = []

    def say(message: Message) -> None:
        if message.skipped is not None:
            skipped.append(message.skipped)

    extracting = Extracting(threads=os.cpu_count() or 1)
    extractor = extracting.open(job)
    extracted = extracting.run(job, given, say)
    if not extracted.photos:
        message = "there are no labelled photos that can be read"
        raise NoSums(message)
    base = FederationBase(
        name=options.base.name,
        version=options.base.version,
        sha256=options.base.sha256,
        tensor=extractor.tensor,
        width=extractor.width,
        features=extractor.digest,
    )
    labels_N = np.array([one.labels[0] for one in extracted.photos], np.int64)
    groups_N = np.array([one.group for one in extracted.photos], np.int64)
    features_ND = extracted.features_NVD[:, 0]
    made = site_sums(
        features_ND,
        labels_N,
        dataset.classes,
        base,
        site=options.site,
        sequence=options.sequence,
        held_out=held_out_of(features_ND, labels_N, groups_N),
    )
    return made, skipped
