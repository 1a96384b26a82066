"""Rows of an export: CSV lines and tasks of Label Studio."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from service.teach.datasets.importing.csv_list import NONE_OF_THEM, SEPARATOR
from service.teach.datasets.records import StoredPhoto

COLUMNS = ("path", "label", "group", "captured", "source", "labelled_by", "labelled", "id")
PREDICTED = ("predicted", "score")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model says about a photo. ``label``: None: it abstains. ``model``: name/version."""

    label: str | None
    score: float | None
    model: str


Predictions = Mapping[str, Predicted]
"""By id of the photo. An empty one adds columns without values; None adds no columns."""


def csv_header(predictions: Predictions | None) -> str:
    """Return the first line."""
    return _line(COLUMNS if predictions is None else (*COLUMNS, *PREDICTED))


def csv_row(photo: StoredPhoto, path: str, predictions: Predictions | None) -> str:
    """Return the line of a photo."""
    cells = [
        path,
        _label(photo),
        photo.group or "",
        _time(photo.captured),
        photo.source.value,
        photo.labelled_by or "",
        _time(photo.labelled),
        photo.id,
    ]
    if predictions is not None:
        one = predictions.get(photo.id)
        score = "" if one is None or one.score is None else f"{one.score:.6g}"
        cells += [(one.label or "") if one else "", score]
    return _line(cells)


def task(photo: StoredPhoto, path: str, dataset: str, predictions: Predictions | None) -> str:
    """Return the task of a photo, as JSON.

    Its image is a local file of Label Studio, whose document root has the exported folders in one
    named as the dataset. ``digest`` names the photo for our own import.
    """
    data: dict[str, object] = {
        "image": f"/data/local-files/?d={dataset}/{path}",
        "digest": photo.digest,
    }
    if photo.group is not None:
        data["group"] = photo.group
    found: dict[str, object] = {"data": data, "annotations": [], "predictions": []}
    if photo.labels is not None:
        found["annotations"] = [{"result": [_choices(photo.labels)] if photo.labels else []}]
    predicted = None if predictions is None else predictions.get(photo.id)
    if predicted is not None and predicted.label is not None:
        result = [_choices((predicted.label,))]
        one: dict[str, object] = {"model_version": predicted.model, "result": result}
        if predicted.score is not None:
            one["score"] = predicted.score
        found["predictions"] = [one]
    return json.dumps(found, ensure_ascii=False)


def _choices(labels: tuple[str, ...]) -> dict[str, object]:
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": list(labels)},
    }


def _label(photo: StoredPhoto) -> str:
    if photo.labels is None:
        return ""
    return SEPARATOR.join(photo.labels) if photo.labels else NONE_OF_THEM


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _line(cells: tuple[str, ...] | list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
