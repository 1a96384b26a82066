"""The process that teaches, without the process: faults are named, and nothing is left half done."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from schemas.models import MANIFEST_FILE, MODEL_FILE
from schemas.teach.run import RunFailure
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.teach.runs.job import Job, JobPhoto, Message, Said
from service.teach.runs.teaching import Teacher
from tests.support.teach.drawn import CLASSES, drawn

EVERYDAY = BUNDLED_MODELS / "everyday" / "1"


def job_in(folder: Path, base: Path = EVERYDAY, each: int = 4) -> Job:
    """A job on drawn photos, with a folder for its files."""
    photos: list[JobPhoto] = []
    for place, label in enumerate(CLASSES):
        for number in range(each):
            data = drawn(label, number)
            file = folder / f"{label}{number}.png"
            file.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            photos.append(JobPhoto(file.stem, digest, str(file), (place,), len(photos)))
    (folder / "output").mkdir()
    return Job(
        kind="teach",
        base=str(base),
        base_sha256=json.loads((base / MANIFEST_FILE).read_text())["sha256"],
        cache=str(folder / "features"),
        photos=tuple(photos),
        classes=CLASSES,
        output=str(folder / "output"),
        model="shapes",
        dataset="shapes",
        run="1",
    )


def last_of(job: Job) -> Message:
    said: list[Message] = []
    Teacher().do(job, said.append)
    return said[-1]


def test_version_is_written_whole(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    assert last_of(job).said is Said.FINISHED
    names = {path.name for path in Path(job.output).iterdir()}
    assert {"model.onnx", "head.onnx", "manifest.json", "reference.json", "golden"} <= names


def test_full_disk_fails_the_run_without_a_manifest(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    (Path(job.output) / MODEL_FILE).symlink_to("/dev/full")
    failed = last_of(job)
    assert (failed.said, failed.code) == (Said.FAILED, RunFailure.DISK_FULL)
    assert failed.detail == "The disk is full: nothing was published."
    assert not (Path(job.output) / MANIFEST_FILE).exists()
    (Path(job.output) / MODEL_FILE).unlink()
    assert last_of(job).said is Said.FINISHED, "the next run needs no more than space"


def test_base_whose_features_are_not_finite_fails_the_run(tmp_path: Path) -> None:
    base = tmp_path / "everyday" / "1"
    shutil.copytree(EVERYDAY, base)
    model = onnx.load(base / MODEL_FILE)
    weight = next(one for one in model.graph.initializer if len(one.dims) == 4)
    broken = np.full(tuple(weight.dims), np.nan, np.float32)
    weight.CopyFrom(numpy_helper.from_array(broken, weight.name))
    data = model.SerializeToString()
    (base / MODEL_FILE).write_bytes(data)
    manifest = json.loads((base / MANIFEST_FILE).read_text())
    manifest["sha256"] = hashlib.sha256(data).hexdigest()
    (base / MANIFEST_FILE).write_text(json.dumps(manifest))
    failed = last_of(job_in(tmp_path, base))
    assert (failed.said, failed.code) == (Said.FAILED, RunFailure.BASE_UNSUITABLE)
    assert failed.detail == "The base gives numbers that are not finite for every photo."


@pytest.mark.parametrize("data", [b"", b"no photo", drawn("disc", 1)[:300]])
def test_one_photo_that_cannot_be_read_is_left_out(tmp_path: Path, data: bytes) -> None:
    job = job_in(tmp_path)
    Path(job.photos[0].file).write_bytes(data)
    said: list[Message] = []
    Teacher().do(job, said.append)
    assert said[-1].said is Said.FINISHED
    skipped = [one.skipped.photo for one in said if one.skipped is not None]
    assert skipped == [job.photos[0].id]


def test_photos_of_one_class_alone_are_too_few(tmp_path: Path) -> None:
    job = job_in(tmp_path)
    same = tuple(replace(photo, labels=(0,)) for photo in job.photos)
    failed = last_of(replace(job, photos=same))
    assert (failed.said, failed.code) == (Said.FAILED, RunFailure.NOT_ENOUGH_LABELS)
