"""Judges a fitted head by its held-out answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import (
    Accuracy,
    Calibration,
    ClassVerdict,
    Forecast,
    InseparablePair,
    NoInterval,
    Suspect,
    Verdict,
)
from service.teach.heads.arrays import Features
from service.teach.heads.fitting import Fitted, Targets
from service.teach.heads.head import Head
from service.teach.verdict import calibration, confusion, curve, pairs, suspects
from service.teach.verdict.advice import Findings, advise
from service.teach.verdict.foreign import judge_foreign
from service.teach.verdict.held_out import (
    HeldOut,
    HeldOutLabels,
    groups_of_classes,
    held_out_answers,
)
from service.teach.verdict.intervals import accuracy_interval
from service.teach.verdict.refitting import Refitting

SEED = 17
"""Of the parts that the learning curve is measured on: the same photos give the same verdict."""

MOST_REFITTED = 2000
"""Photos from which the curve's parts are taken: memory grows with the square of the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What differs between photos with one label and with several."""

    confusion: confusion.Table
    per_class: tuple[ClassVerdict, ...]
    suspects: tuple[Suspect, ...]
    inseparable: tuple[InseparablePair, ...]
    calibration: Calibration


def judge(
    fitted: Fitted,
    targets: Targets,
    groups_N: NDArray[np.integer],
    photo_ids: Sequence[str],
    classes: Sequence[str],
    *,
    features_NVD: NDArray[np.float32] | None = None,
    foreign_MD: Features | None = None,
    promised_precision: float = calibration.PROMISED_PRECISION,
) -> Verdict:
    """Say what the labelled photos say about a head.

    Args:
        fitted: the head with its held-out logits.
        targets: what it was fitted to; the N photos of ``fitted``.
        groups_N: group of each photo.
        photo_ids: of the N photos.
        classes: names of the K labels.
        features_NVD: of the N photos, for the learning curve and the forecast; none without.
        foreign_MD: features of photos that show nothing of the classes.
        promised_precision: that the threshold is to keep, 0..1.

    Raises:
        ValueError: the arguments are not of the same N photos and K labels.
    """
    _check(fitted, targets, groups_N, photo_ids, classes)
    groups = np.asarray(groups_N, np.int64)
    held = held_out_answers(fitted, targets, groups)
    accuracy = _accuracy(held, targets, groups)
    parts = _parts(held, fitted.temperature, photo_ids, classes, promised_precision)
    measured: list[curve.Measured] = []
    if features_NVD is not None and accuracy.interval is not None:
        measured = _measured(fitted.head, features_NVD[:, 0], targets, groups)
    forecast = _forecast(measured, accuracy)
    enough, advice = advise(
        Findings(
            is_multi=targets.kind == "sigmoid",
            groups=len(np.unique(groups)),
            accuracy=accuracy,
            per_class=parts.per_class,
            forecast=forecast,
            suspects=parts.suspects,
            inseparable=parts.inseparable,
            calibration=parts.calibration,
        )
    )
    return Verdict(
        kind="single" if targets.kind == "softmax" else "multi",
        classes=tuple(classes),
        photos=len(targets),
        groups=len(np.unique(groups)),
        accuracy=accuracy,
        confusion=parts.confusion,
        per_class=parts.per_class,
        curve=curve.points(measured, accuracy),
        forecast=forecast,
        enough=enough,
        advice=advice,
        suspects=parts.suspects,
        inseparable=parts.inseparable,
        calibration=parts.calibration,
        foreign=None if foreign_MD is None else judge_foreign(fitted.distance, foreign_MD),
    )


def _measured(
    head: Head, features_ND: NDArray[np.float32], targets: Targets, groups_N: NDArray[np.int_]
) -> list[curve.Measured]:
    rng = np.random.default_rng(SEED)
    rows = _some(groups_N, rng)
    refitting = Refitting(head.mapped(features_ND[rows]), targets.at(rows))
    return curve.measure(refitting, refitting.spread(), groups_N[rows], rng)


def _some(groups_N: NDArray[np.int_], rng: np.random.Generator) -> NDArray[np.int_]:
    """Return all photos, or those of random groups so that they are ``MOST_REFITTED`` at most."""
    if len(groups_N) <= MOST_REFITTED:
        return np.arange(len(groups_N))
    _, group_N, sizes_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes_G))
    kept = order[np.cumsum(sizes_G[order]) <= MOST_REFITTED]
    return np.flatnonzero(np.isin(group_N.reshape(-1), kept))


def _accuracy(
    held: HeldOut | HeldOutLabels, targets: Targets, groups_N: NDArray[np.int_]
) -> Accuracy:
    judged_N, right_N = held.judged_N, held.right_N
    photos, right = int(judged_N.sum()), int(right_N.sum())
    groups = len(np.unique(groups_N[judged_N]))
    interval = accuracy_interval(
        right_N[judged_N], groups_N[judged_N], _lacking(targets, groups_N, judged_N)
    )
    unknown = None
    if interval is None:
        unknown = _unknown(targets, groups_N)
    return Accuracy(
        value=right / photos if photos else None,
        right=right,
        photos=photos,
        groups=groups,
        interval=interval,
        unknown=unknown,
    )


def _unknown(targets: Targets, groups_N: NDArray[np.int_]) -> NoInterval:
    if not len(groups_N):
        return "no photos"
    if targets.kind == "softmax" and np.count_nonzero(targets.counts_K) < 2:
        return "one class"
    return "one group"


def _lacking(targets: Targets, groups_N: NDArray[np.int_], judged_N: NDArray[np.bool_]) -> float:
    """Return the mean share of its class that the head of a judged photo did not see."""
    if not judged_N.any():
        return 0.0
    groups_K = groups_of_classes(targets.present_NK, groups_N)
    share_K = 1 / np.maximum(groups_K, 1)
    present_NK = targets.present_NK[judged_N]
    counts_N = np.maximum(present_NK.sum(axis=1), 1)
    return float(((present_NK * share_K).sum(axis=1) / counts_N).mean())


def _parts(
    held: HeldOut | HeldOutLabels,
    temperature: float,
    photo_ids: Sequence[str],
    classes: Sequence[str],
    promised: float,
) -> _Parts:
    if isinstance(held, HeldOut):
        return _Parts(
            confusion=confusion.confusion(held, len(classes)),
            per_class=confusion.per_class(held, classes),
            suspects=suspects.suspects(held, photo_ids, classes),
            inseparable=pairs.inseparable(held, classes),
            calibration=calibration.calibration(held, temperature, promised),
        )
    return _Parts(
        confusion=confusion.label_confusion(held),
        per_class=confusion.per_label(held, classes),
        suspects=suspects.label_suspects(held, photo_ids, classes),
        inseparable=(),
        calibration=calibration.label_calibration(held, temperature, promised),
    )


def _forecast(measured: list[curve.Measured], accuracy: Accuracy) -> Forecast | None:
    if accuracy.value is None or accuracy.interval is None:
        return None
    return curve.forecast([*measured, curve.whole(accuracy)], accuracy.photos)


def _check(
    fitted: Fitted,
    targets: Targets,
    groups_N: NDArray[np.integer],
    photo_ids: Sequence[str],
    classes: Sequence[str],
) -> None:
    photos = {len(fitted.held_out_NK), len(targets), len(groups_N), len(photo_ids)}
    labels = {fitted.held_out_NK.shape[1], targets.present_NK.shape[1], len(classes)}
    if len(photos) > 1 or len(labels) > 1:
        message = f"the arguments are of {photos} photos and {labels} labels"
        raise ValueError(message)
