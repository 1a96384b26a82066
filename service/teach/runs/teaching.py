"""One teaching: features, head, verdict, graft, files of a version. Knows no process and no store.

Runs in the process that ``child.py`` begins, and in that of the command ``potoo teach``.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from schemas.drift import REFERENCE_FILE
from schemas.models import (
    HEAD_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    GoldenSample,
    ModelManifest,
    TaughtFrom,
)
from schemas.teach.run import RunFailure, RunState
from schemas.teach.verdict import Verdict
from service.core.repository.publishing import DISK_FULL
from service.core.repository.version_files import read_manifest
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.teach.choosing.ranking import most_useful
from service.teach.datasets.photos.types import HEAD_BYTES, extension_of
from service.teach.features.cache import FeatureCache
from service.teach.features.extraction import Extractor
from service.teach.features.penultimate import NoFeatures, find
from service.teach.grafting import goldens
from service.teach.grafting.checking import check_equal
from service.teach.grafting.graft import Graft, grafted, tail
from service.teach.grafting.manifest import Taught, make_manifest
from service.teach.grafting.problems import CannotGraft, GraphDiffers
from service.teach.grafting.reference import reference_of
from service.teach.grafting.unknown import UnknownScore
from service.teach.heads.fitting import FitOptions, Fitted, Targets, fit
from service.teach.heads.problems import CannotFit
from service.teach.runs.extracting import Extracted, Extracting, Say, cached
from service.teach.runs.job import Job, JobPhoto, Message, Said
from service.teach.runs.problems import RunFailed
from service.teach.verdict.verdict import judge

MOST_RANKED = 500
PROVISIONAL_VERSION = 1
"""The number is chosen when the version is published."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A fitted head and the verdict on it."""

    extracted: Extracted
    targets: Targets
    fitted: Fitted
    verdict: Verdict


class Teacher:
    """Does jobs one after another."""

    def __init__(self, *, threads: int = 1) -> None:
        """``threads``: cores of one photo."""
        self._extracting = Extracting(threads=threads)

    def do(self, job: Job, say: Say) -> None:
        """Do a job, and say how it goes; its last message is ``finished`` or ``failed``."""
        began = time.perf_counter()
        try:
            if job.kind == "warm":
                self._extracting.run(job, job.photos, _quiet)
            else:
                self._teach(job, say)
        except RunFailed as failed:
            said = Message(said=Said.FAILED, code=failed.code, detail=failed.detail)
        except OSError as error:
            said = _broken(error)
            if error.errno in DISK_FULL:
                detail = "The disk is full: nothing was published."
                said = Message(said=Said.FAILED, code=RunFailure.DISK_FULL, detail=detail)
        except Exception as error:  # noqa: BLE001 - the next job may succeed
            said = _broken(error)
        else:
            said = Message(said=Said.FINISHED)
        say(replace(said, seconds=time.perf_counter() - began))

    def judge(self, job: Job, say: Say) -> Verdict:
        """Return the verdict of a job alone: to compare bases.

        Raises:
            RunFailed: no head can be fitted.
        """
        return self._judged(job, say).verdict

    def _teach(self, job: Job, say: Say) -> None:
        judged = self._judged(job, say)
        say(Message(said=Said.STATE, state=RunState.GRAFTING))
        _write_version(job, judged, self._extracting.open(job))

    def _judged(self, job: Job, say: Say) -> _Judged:
        say(Message(said=Said.STATE, state=RunState.EXTRACTING))
        tensor = self._extracting.open(job).tensor
        say(Message(said=Said.TENSOR, tensor=tensor))
        extracted = self._extracting.run(job, job.photos, say)
        targets = _targets(job, extracted.photos)
        groups_N = np.array([photo.group for photo in extracted.photos], np.int64)
        say(Message(said=Said.STATE, state=RunState.FITTING))
        options = FitOptions(class_weights=job.class_weights)
        try:
            fitted = fit(extracted.features_NVD, targets, groups_N, options=options)
        except CannotFit as error:
            raise RunFailed(RunFailure.NOT_ENOUGH_LABELS, str(error)) from error
        say(Message(said=Said.STATE, state=RunState.JUDGING))
        foreign_MD = None
        if job.foreign:
            foreign_MD = self._extracting.run(job, job.foreign, _quiet).features_NVD[:, 0]
        verdict = judge(
            fitted,
            targets,
            groups_N,
            [photo.id for photo in extracted.photos],
            job.classes,
            features_NVD=extracted.features_NVD,
            foreign_MD=foreign_MD,
            promised_precision=job.precision,
        )
        say(Message(said=Said.VERDICT, verdict=verdict.model_dump_json()))
        if job.others:
            say(Message(said=Said.RANKED, ranked=self._ranked(job, fitted)))
        return _Judged(extracted, targets, fitted, verdict)

    def _ranked(self, job: Job, fitted: Fitted) -> tuple[str, ...]:
        """Return photos without labels that have features, the most useful to label first."""
        extractor, cache = self._extracting.open(job), FeatureCache(Path(job.cache))
        found = [(photo.id, cached(extractor, cache, photo)) for photo in job.others]
        known = [(name, features_VD[0]) for name, features_VD in found if features_VD is not None]
        if not known:
            return ()
        features_ND = np.stack([features_D for _, features_D in known])
        logits_NK = fitted.head.logits(features_ND)
        is_labelled_N = np.zeros(len(known), np.bool_)
        kind = fitted.head.kind
        inputs_ND = fitted.head.mapped(features_ND)
        order = most_useful(inputs_ND, logits_NK, is_labelled_N, MOST_RANKED, kind=kind)
        return tuple(known[place][0] for place in order)


def _broken(error: Exception) -> Message:
    detail = f"The run failed by an error of the server ({type(error).__name__})."
    trace = "".join(traceback.format_exception(error))
    return Message(said=Said.FAILED, code=RunFailure.INTERNAL, detail=detail, trace=trace)


def _quiet(_: Message) -> None:
    """Say nothing: a photo that cannot be read is said when its run needs it."""


def _targets(job: Job, photos: Sequence[JobPhoto]) -> Targets:
    """Return what the head is fitted to.

    Raises:
        RunFailed: fewer than two classes have photos that can be read.
    """
    if not photos:
        raise RunFailed(RunFailure.PHOTOS_UNREADABLE, "None of the labelled photos can be read.")
    if job.is_multi:
        present_NK = np.zeros((len(photos), len(job.classes)), np.bool_)
        for row, photo in enumerate(photos):
            present_NK[row, list(photo.labels)] = True
        return Targets.of_presence(present_NK)
    labels_N = np.array([photo.labels[0] for photo in photos], np.int64)
    used = np.unique(labels_N)
    if len(used) < 2:
        name = job.classes[int(used[0])]
        detail = f"All photos that can be read are '{name}': two classes are needed."
        raise RunFailed(RunFailure.NOT_ENOUGH_LABELS, detail)
    return Targets.of_labels(labels_N, len(job.classes))


def _write_version(job: Job, judged: _Judged, extractor: Extractor) -> None:
    """Write the files of the version; the manifest last, with a provisional number.

    Raises:
        RunFailed: the base's graph cannot carry the head, or computes something else with it.
    """
    folder, fitted = Path(job.output), judged.fitted
    graft = Graft.of(fitted.head, fitted.temperature, UnknownScore.of(fitted.distance))
    first_ND = judged.extracted.features_NVD[:, 0]
    base = read_manifest(Path(job.base))
    try:
        model = onnx.load(Path(job.base) / MODEL_FILE)
        features = find(model, job.feature)
        whole = grafted(model, features, graft)
        check_equal(features, graft, first_ND)
    except (CannotGraft, NoFeatures) as error:
        raise RunFailed(RunFailure.BASE_UNSUITABLE, str(error)) from error
    except GraphDiffers as error:
        raise RunFailed(RunFailure.DIFFERS, str(error)) from error
    data = whole.SerializeToString(deterministic=True)
    (folder / MODEL_FILE).write_bytes(data)
    head = tail(features, graft).SerializeToString(deterministic=True)
    (folder / HEAD_FILE).write_bytes(head)
    taught = Taught(
        name=job.model,
        version=PROVISIONAL_VERSION,
        sha256=hashlib.sha256(data).hexdigest(),
        base=base,
        origin=TaughtFrom(
            name=base.name,
            version=base.version,
            sha256=base.sha256,
            tensor=extractor.tensor,
            dataset=job.dataset,
            run=job.run,
            features=whole.graph.output[1].name,
        ),
        classes=job.classes,
        graft=graft,
        output=whole.graph.output[0].name,
        verdict=judged.verdict,
        golden=_write_golden(folder, judged, graft, first_ND),
        source=job.dataset,
    )
    manifest: ModelManifest = make_manifest(taught)
    reference = reference_of(fitted, manifest.abstain_below)
    if reference is not None:
        (folder / REFERENCE_FILE).write_text(reference.model_dump_json() + "\n")
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def _write_golden(
    folder: Path, judged: _Judged, graft: Graft, features_ND: NDArray[np.float32]
) -> tuple[GoldenSample, ...]:
    """Copy a few photos of each class, with the scores that NumPy gives them."""
    photos = judged.extracted.photos
    scores_NK = goldens.scores_of(graft, features_ND)
    candidates = [
        goldens.Candidate(place, photo.labels[0], Path(photo.file).stat().st_size)
        for place, photo in enumerate(photos)
        if photo.labels
    ]
    (folder / GOLDEN_FOLDER).mkdir()
    samples = []
    for number, chosen in enumerate(goldens.choose(candidates, scores_NK), 1):
        data = Path(photos[chosen.place].file).read_bytes()
        name = f"{number}-{photos[chosen.place].digest[:12]}.{extension_of(data[:HEAD_BYTES])}"
        (folder / GOLDEN_FOLDER / name).write_bytes(data)
        samples.append(goldens.sample(name, scores_NK[chosen.place]))
    return tuple(samples)
