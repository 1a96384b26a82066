"""Answers of a model to some photos under each preset, before it is published.

A missing /255, or BGR read as RGB, gives confident wrong answers; a comparison shows this.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from schemas.manifest.model_input import Dtype
from schemas.models import MODEL_FILE, ModelManifest
from schemas.operator_error import first_fault
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import top_k
from service.modeltools.importing.golden_photos import is_right, read_photos
from service.modeltools.importing.graph_facts import CannotImport
from service.modeltools.importing.importing import ImportOptions, Subject, draw_manifest, look_into
from service.modeltools.importing.photo_answers import Answerer, Photo, answerer
from service.modeltools.importing.preparation import (
    NOTHING_SAID,
    Preparation,
    fitting_presets,
    preparation,
)

SHOWN = 3
AS_ASKED = "as asked"


@dataclass(frozen=True, slots=True)
class Trial:
    """One photo under one preparation.

    ``is_asked``: this preparation was requested; ``best``: labels and scores; ``is_right``: whether
    the answer is the photo's label, None without a label.
    """

    photo: Photo
    preparation: str
    is_asked: bool
    best: tuple[tuple[str, float], ...]
    is_right: bool | None


@dataclass(frozen=True, slots=True)
class DryRun:
    """Outcome of a dry run: ``trials`` by photo; ``unsure``: assumptions, a sentence each."""

    trials: list[Trial]
    unsure: list[str]


def dry_run(
    model: Path, wanted: ImportOptions, tried: tuple[str, ...], limits: ImageLimits
) -> DryRun:
    """Try every preset that fits on every photo. Blocks; keeps no files.

    Args:
        wanted: ``like`` may be None.
        tried: photos in addition to the golden ones, each optionally with ``=label``.

    Raises:
        CannotImport: the file or the options are not usable, or there are no photos.
    """
    if not wanted.golden and not tried:
        message = "a dry run shows what the model answers to photos: give some with --try PHOTO"
        raise CannotImport(message)
    unsure: list[str] = []
    with tempfile.TemporaryDirectory(prefix="potoo-") as folder:
        subject = look_into(model, Path(folder) / MODEL_FILE, wanted, unsure)
        prepared = _preparations(wanted, subject)
        asked = [how for _, how, is_asked in prepared if is_asked]
        how = asked[0] if asked else prepared[0][1]
        manifest = draw_manifest(subject, wanted, how, wanted.version or 1, unsure)
        photos = read_photos((*wanted.golden, *tried), subject.labels, manifest.output.kind)
        answers = answerer(Path(folder), manifest, limits)
        trials = [
            _trial(photo, name, is_asked, _prepared_as(answers, how, subject))
            for photo in photos
            for name, how, is_asked in prepared
        ]
    return DryRun(trials, unsure)


def _preparations(wanted: ImportOptions, subject: Subject) -> list[tuple[str, Preparation, bool]]:
    """List the names, the preparations, and whether each was requested."""
    facts, size = subject.facts, subject.size
    said, like = wanted.pixels, wanted.like
    is_asked = like is not None or said.has_numbers or facts.dtype is Dtype.UINT8
    # Only options on colour and size apply to every preset.
    beside = NOTHING_SAID if is_asked else said
    asked = preparation(like, said, facts, size) if is_asked else None
    rows = [(name, how, how == asked) for name, how in fitting_presets(beside, facts, size).items()]
    if asked is not None:
        name = asked.name or AS_ASKED
        if asked.name is None:
            rows.append((name, asked, True))
        if asked.colour.channels == 3:
            rows.append((f"{name}, {asked.turned.colour}", asked.turned, False))
    return rows


def _prepared_as(answers: Answerer, how: Preparation, subject: Subject) -> Answerer:
    try:
        spec = how.input_spec(subject.facts, subject.size)
    except ValidationError as error:
        message = f"the manifest would be invalid: {first_fault(error, 'it')}"
        raise CannotImport(message) from error
    manifest: ModelManifest = answers.manifest.model_copy(update={"input": spec})
    return replace(answers, manifest=manifest)


def _trial(photo: Photo, name: str, is_asked: bool, answers: Answerer) -> Trial:
    scores_K = answers.scores(photo)
    best = tuple(
        (answers.labels[index], float(scores_K[index])) for index in top_k(scores_K, SHOWN)
    )
    right = None if photo.label is None else is_right(photo, answers, scores_K)
    return Trial(photo, name, is_asked, best, right)


def table(trials: list[Trial]) -> Iterator[str]:
    """Format the trials as lines of text, photo by photo."""
    has_labels = any(trial.is_right is not None for trial in trials)
    verdicts = {True: "right", False: "wrong", None: ""}
    rows = [("", "photo", "preset", "", "best answers")]
    rows += [
        (
            "*" if trial.is_asked else "",
            _cut(trial.photo.file.name, 28),
            trial.preparation,
            verdicts[trial.is_right],
            ", ".join(f"{_cut(label, 24)} {score:.1%}" for label, score in trial.best),
        )
        for trial in trials
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        if not has_labels:
            del cells[3]
        yield "  ".join([*cells, row[4]]).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."
