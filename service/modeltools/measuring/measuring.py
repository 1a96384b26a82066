"""Evaluates a version from its probabilities and the truths of the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import top_k
from service.modeltools.measuring.best_answers import ABSTAINED, BestAnswers, best_answers
from service.modeltools.measuring.evaluation import (
    ClassFigures,
    CurvePoint,
    Evaluation,
    ForeignFigures,
    LevelFigures,
    Share,
)
from service.modeltools.measuring.truth import Truth

BINS = 15
CURVE_POINTS = 20
_TINY = 1e-12
"""Smallest probability whose logarithm is taken; float32 rounds smaller ones to 0."""


def measure(shares_NK: NDArray[np.floating], truths: Sequence[Truth], hedger: Hedger) -> Evaluation:
    """Compute all figures of a version on N images.

    Args:
        shares_NK: calibrated probabilities of the labels, [N, K], 0..1.
        truths: of the N images, including foreign ones.
        hedger: chooses the answers.
    """
    answers = best_answers(shares_NK, hedger)
    right_NL = answers.right(truths)
    foreign_N = np.array([truth.is_foreign for truth in truths], np.bool_)
    labelled = [n for n, truth in enumerate(truths) if truth.labels]
    likeliest_N = shares_NK.argmax(axis=1) if len(truths) else np.zeros(0, np.intp)
    top1_M = np.array([likeliest_N[n] in truths[n].labels for n in labelled], np.bool_)
    classes = _classes(answers, truths, likeliest_N, hedger)
    recalls = [found.right.count / found.right.of for found in classes if found.is_label]
    given = _Given(answers, right_NL, hedger)
    known_N = ~foreign_N
    return Evaluation(
        images=int(known_N.sum()),
        labelled=len(labelled),
        top1=_share(top1_M),
        top5=_share(
            np.array(
                [bool({*top_k(shares_NK[n], 5)} & {*truths[n].labels}) for n in labelled], np.bool_
            )
        ),
        levels=_levels(right_NL, truths, hedger, given),
        mean_per_class=float(np.mean(recalls)) if recalls else None,
        negative_log_likelihood=_log_loss(shares_NK, truths, labelled),
        expected_calibration_error=expected_calibration_error(
            shares_NK[labelled].max(axis=1), top1_M
        )
        if labelled
        else None,
        answered=_share(given.named_N[known_N]),
        precision=_share(given.right_N[known_N & given.named_N]),
        answered_below=_share(given.below_N[known_N]),
        precision_below=_share(given.right_N[known_N & given.below_N]),
        precision_with_foreign=_share(given.right_N[given.named_N]),
        foreign=ForeignFigures(_share(given.named_N[foreign_N]), _share(given.below_N[foreign_N]))
        if foreign_N.any()
        else None,
        curve=_curve(answers.scores_NL[labelled, 0], right_NL[labelled, 0]),
        classes=classes,
    )


def expected_calibration_error(
    confidence_N: NDArray[np.floating], right_N: NDArray[np.bool_]
) -> float:
    """Return the mean gap of confidence and accuracy over ``BINS`` bins of equal width, 0..1.

    Bins are weighted by their number of images (Guo et al., 2017).

    Args:
        confidence_N: probability of each image's likeliest label, [N], N > 0.
        right_N: whether that label is right.
    """
    edges = np.linspace(0, 1, BINS + 1)
    bins_N = np.clip(np.searchsorted(edges, confidence_N, side="left") - 1, 0, BINS - 1)
    gaps = np.bincount(bins_N, weights=right_N - confidence_N.astype(np.float64), minlength=BINS)
    return float(np.abs(gaps).sum() / len(right_N))


class _Given:
    """The answers given for the N images: whether named, at which level, whether right."""

    def __init__(self, answers: BestAnswers, right_NL: NDArray[np.bool_], hedger: Hedger) -> None:
        levels_N = answers.levels(hedger.thresholds)
        rows = np.arange(len(levels_N))
        self.named_N = levels_N != ABSTAINED
        self.heights_N = np.where(self.named_N, answers.heights_NL[rows, levels_N], ABSTAINED)
        self.right_N = self.named_N & right_NL[rows, levels_N]
        widest = hedger.hierarchy.widest
        is_widest_N = [
            names[level] in widest for names, level in zip(answers.names, levels_N, strict=True)
        ]
        self.below_N = self.named_N & ~np.array(is_widest_N, np.bool_)


def _levels(
    right_NL: NDArray[np.bool_],
    truths: Sequence[Truth],
    hedger: Hedger,
    given: _Given,
) -> tuple[LevelFigures, ...]:
    hierarchy = hedger.hierarchy
    names_of_level = [set(hierarchy.labels), *(set(level.names) for level in hierarchy.levels)]
    known_N = np.array([not truth.is_foreign for truth in truths], np.bool_)
    figures = []
    for level, names in enumerate(names_of_level):
        judged = {truth: bool(truth.right & names) for truth in set(truths)}
        judged_N = np.array([judged[truth] for truth in truths], np.bool_)
        answered_N = known_N & (given.heights_N == level)
        figures.append(
            LevelFigures(
                level,
                _share(right_NL[judged_N, level]),
                _share(answered_N[known_N]),
                _share(given.right_N[answered_N]),
            )
        )
    return tuple(figures)


def _classes(
    answers: BestAnswers,
    truths: Sequence[Truth],
    likeliest_N: NDArray[np.intp],
    hedger: Hedger,
) -> tuple[ClassFigures, ...]:
    labels = hedger.hierarchy.labels
    said: dict[Truth, Counter[str]] = {}
    for n, truth in enumerate(truths):
        if truth.labels:
            answer = labels[likeliest_N[n]]
        elif truth.names and (place := hedger.hierarchy.place(truth.names[0])):
            answer = answers.names[n][place[0]]
        else:
            continue
        said.setdefault(truth, Counter())[answer] += 1
    figures = []
    for truth, counts in said.items():
        wanted = {labels[k] for k in truth.labels} if truth.labels else truth.right
        right = sum(count for name, count in counts.items() if name in wanted)
        wrong = sorted(
            ((name, count) for name, count in counts.items() if name not in wanted),
            key=lambda pair: (-pair[1], pair[0]),
        )
        share = Share(right, counts.total())
        figures.append(ClassFigures(truth.title, bool(truth.labels), share, tuple(wrong)))
    return tuple(sorted(figures, key=lambda found: (-found.right.of, found.name)))


def _log_loss(
    shares_NK: NDArray[np.floating], truths: Sequence[Truth], labelled: Sequence[int]
) -> float | None:
    """Return the mean negative log likelihood of the right labels together, in nats."""
    if not labelled:
        return None
    sums = [float(shares_NK[n, list(truths[n].labels)].sum()) for n in labelled]
    return float(-np.log(np.clip(sums, _TINY, 1)).mean())


def _curve(scores_M: NDArray[np.float64], right_M: NDArray[np.bool_]) -> tuple[CurvePoint, ...]:
    """Return points at equal steps of coverage, the most confident images first."""
    order = np.argsort(-scores_M, kind="stable")
    ends = sorted({round(len(order) * step / CURVE_POINTS) for step in range(CURVE_POINTS + 1)})
    right_before = np.append(0, np.cumsum(right_M[order]))
    return tuple(
        CurvePoint(
            end / len(order), float(right_before[end] / end), float(scores_M[order[end - 1]])
        )
        for _, end in pairwise(ends)
    )


def _share(chosen: NDArray[np.bool_]) -> Share:
    return Share(int(chosen.sum()), chosen.size)
