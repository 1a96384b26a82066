"""Confusion of classes, and counts and rates of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.teach.verdict import ClassVerdict, Interval
from service.teach.verdict.groups import worth_of
from service.teach.verdict.held_out import HeldOut, HeldOutLabels, groups_of_classes, one_hot
from service.teach.verdict.intervals import HEAD_VARIATION, share_interval

Table = tuple[tuple[int, ...], ...]


def confusion(held: HeldOut, classes: int) -> Table:
    """Count judged photos by label (row) and answer (column)."""
    table_KK = np.zeros((classes, classes), dtype=np.int_)
    np.add.at(table_KK, (held.labels_N[held.judged_N], held.answers_N[held.judged_N]), 1)
    return _rows(table_KK)


def label_confusion(held: HeldOutLabels) -> Table:
    """Count for each class: right present, missed, wrongly present, right absent."""
    answers_NK, present_NK, judged_NK = held.answers_NK, held.present_NK, held.judged_NK
    counts_K4 = np.stack(
        [
            (answers_NK & present_NK & judged_NK).sum(axis=0),
            (~answers_NK & present_NK & judged_NK).sum(axis=0),
            (answers_NK & ~present_NK & judged_NK).sum(axis=0),
            (~answers_NK & ~present_NK & judged_NK).sum(axis=0),
        ],
        axis=1,
    )
    return _rows(counts_K4)


def per_class(held: HeldOut, names: Sequence[str]) -> tuple[ClassVerdict, ...]:
    """Count and rate each class."""
    own_NK = one_hot(held.labels_N, len(names))
    answered_NK = one_hot(held.answers_N, len(names)) & held.judged_N[:, np.newaxis]
    judged_NK = own_NK & held.judged_N[:, np.newaxis]
    return _per_class(own_NK, judged_NK, answered_NK, held.groups_N, names)


def per_label(held: HeldOutLabels, names: Sequence[str]) -> tuple[ClassVerdict, ...]:
    """Count and rate each label of photos that have several."""
    answered_NK = held.answers_NK & held.judged_NK
    judged_NK = held.present_NK & held.judged_NK
    return _per_class(held.present_NK, judged_NK, answered_NK, held.groups_N, names)


def _per_class(
    own_NK: NDArray[np.bool_],
    judged_NK: NDArray[np.bool_],
    answered_NK: NDArray[np.bool_],
    groups_N: NDArray[np.int_],
    names: Sequence[str],
) -> tuple[ClassVerdict, ...]:
    groups_K = groups_of_classes(own_NK, groups_N)
    found = []
    for place, name in enumerate(names):
        judged_N, answered_N = judged_NK[:, place], answered_NK[:, place]
        right = int((judged_N & answered_N).sum())
        held_out, answered = int(judged_N.sum()), int(answered_N.sum())
        found.append(
            ClassVerdict(
                name=name,
                photos=int(own_NK[:, place].sum()),
                groups=int(groups_K[place]),
                held_out=held_out,
                right=right,
                answered=answered,
                precision=right / answered if answered else None,
                recall=right / held_out if held_out else None,
                recall_interval=_interval(answered_N[judged_N], groups_N[judged_N]),
            )
        )
    return tuple(found)


def _interval(right_N: NDArray[np.bool_], groups_N: NDArray[np.int_]) -> Interval | None:
    worth = worth_of(right_N, groups_N)
    if worth.groups < 2:
        return None
    return share_interval(float(right_N.mean()), worth.effective / HEAD_VARIATION)


def _rows(table: NDArray[np.int_]) -> Table:
    return tuple(tuple(int(count) for count in row) for row in table)
