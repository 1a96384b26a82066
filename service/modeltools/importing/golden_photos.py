"""Golden photos: expected answers, checked on import and at every later load."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.manifest.model_output import OutputKind
from schemas.models import GoldenPrediction, GoldenSample
from service.core.imaging.postprocessing import top_k
from service.core.imaging.presence import Presence
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.importing.graph_facts import CannotImport
from service.modeltools.importing.photo_answers import Answerer, Photo
from service.modeltools.measuring.label_names import plain_label

PREDICTIONS = 3
_SUGGESTIONS = 3


def read_photos(given: Sequence[str], labels: Sequence[str], kind: OutputKind) -> list[Photo]:
    """Read the photos given as ``photo.jpg`` or ``photo.jpg=label``.

    The text after the last ``=`` is a label if the model has it; otherwise it must be part of the
    file's name.

    Raises:
        CannotImport: the label is unknown, or a photo has two labels and the model is single-label.
        OSError: a photo cannot be read.
    """
    photos = [_read(text, labels) for text in given]
    if kind != "sigmoid":
        _refuse_contradictions(photos)
    return photos


def store_golden(
    photos: Sequence[Photo], answers: Answerer, folder: Path
) -> tuple[GoldenSample, ...]:
    """Copy photos into a version's folder; return their samples for the manifest.

    Raises:
        CannotImport: the answer to a photo is not its label; the message names the answer.
    """
    if not photos:
        return ()
    (folder / GOLDEN_FOLDER).mkdir()
    samples = []
    offset = answers.manifest.output.label_offset
    for number, photo in enumerate(photos, 1):
        scores_K = answers.scores(photo)
        if not is_right(photo, answers, scores_K):
            raise CannotImport(_disagreement(photo, answers.labels, scores_K))
        name = f"{number}-{re.sub('[^A-Za-z0-9._-]', '-', photo.file.name)[-80:]}"
        (folder / GOLDEN_FOLDER / name).write_bytes(photo.data)
        predictions = tuple(
            GoldenPrediction(index=int(index) + offset, score=round(float(scores_K[index]), 4))
            for index in top_k(scores_K, PREDICTIONS)
        )
        samples.append(GoldenSample(file=name, predictions=predictions))
    return tuple(samples)


def is_right(photo: Photo, answers: Answerer, scores_K: NDArray[np.float32]) -> bool:
    """Return whether the answer to a photo is its label; True without a label.

    For a multi-label model the label must be present, otherwise it must be the best one.
    """
    if photo.label is None:
        return True
    output = answers.manifest.output
    if output.kind == "sigmoid":
        given = Presence(output, answers.labels).present(scores_K)
    else:
        given = [int(scores_K.argmax())]
    return plain_label(photo.label) in {plain_label(answers.labels[index]) for index in given}


def _read(text: str, labels: Sequence[str]) -> Photo:
    path, equals, label = text.rpartition("=")
    known = {plain_label(one): one for one in labels}
    found = known.get(plain_label(label)) if equals else None
    whole = Path(text)
    if not equals or (whole.is_file() and (found is None or not Path(path).is_file())):
        return Photo(whole, whole.read_bytes())
    if found is None:
        raise CannotImport(f"--golden {text}: '{label}' is not a label{_suggested(label, labels)}")
    return Photo(Path(path), Path(path).read_bytes(), found)


def _suggested(label: str, labels: Sequence[str]) -> str:
    """Suggest similar labels, as a clause."""
    wanted = plain_label(label)
    near = [one for one in labels if wanted and wanted in plain_label(one)]
    near = near or difflib.get_close_matches(label, labels)
    names = ", ".join(f"'{one}'" for one in near[:_SUGGESTIONS])
    return f" of the model; did you mean {names}?" if names else " of the model"


def _refuse_contradictions(photos: Sequence[Photo]) -> None:
    seen: dict[str, Photo] = {}
    for photo in photos:
        if photo.label is None:
            continue
        digest = hashlib.sha256(photo.data).hexdigest()
        other = seen.setdefault(digest, photo)
        if other.label is not None and plain_label(other.label) != plain_label(photo.label):
            files = dict.fromkeys([str(other.file), str(photo.file)])
            message = f"the same photo is given as '{other.label}' and as '{photo.label}'"
            raise CannotImport(f"{' and '.join(files)}: {message}")


def _disagreement(photo: Photo, labels: Sequence[str], scores_K: NDArray[np.float32]) -> str:
    best = int(scores_K.argmax())
    wanted = plain_label(photo.label or "")
    score = max(scores_K[k] for k, label in enumerate(labels) if plain_label(label) == wanted)
    return (
        f"{photo.file}: the model answers '{labels[best]}' ({scores_K[best]:.1%}), not "
        f"'{photo.label}' ({score:.1%}) as expected: with --dry-run you see what else --like gives"
    )
