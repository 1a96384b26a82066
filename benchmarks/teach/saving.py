"""Labels that the most useful photos first save, against random order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.teach.labelled import Labelled
from service.teach.choosing.ranking import most_useful
from service.teach.heads.fitting import FitOptions, Targets, fit

START = 20
TEST_SHARE = 0.25
BELOW = 0.02
"""Points below the accuracy of all labels that are to be reached."""

Choose = Callable[[NDArray[np.float64], NDArray[np.bool_], int], NDArray[np.int_]]


@dataclass(frozen=True, slots=True)
class Course:
    """Accuracy on the photos set aside, after each batch of labels."""

    labels: tuple[int, ...]
    accuracy: tuple[float, ...]

    def needed(self, wanted: float) -> int | None:
        """Return the labels from which the accuracy, over three batches, is as wanted."""
        smooth = np.convolve(np.pad(self.accuracy, 1, "edge"), np.ones(3) / 3, "valid")
        reached = np.flatnonzero(smooth >= wanted)
        return self.labels[int(reached[0])] if len(reached) else None


def measure(data: Labelled, seeds: int, options: FitOptions) -> dict[str, object]:
    """Label photos in both orders from the same first ones; a quarter is set aside to judge.

    The labels needed are read from the mean course of all seeds, and given for each seed too.
    """
    random, useful, wanted = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(data.labels_N))
        test, pool = np.split(order, [round(TEST_SHARE * len(order))])
        features_ND = data.features_NVD[pool, 0]
        everything = _accuracy(data, pool, test, options)

        def by_use(
            logits_NK: NDArray[np.float64],
            labelled_N: NDArray[np.bool_],
            count: int,
            features_ND: NDArray[np.float32] = features_ND,
        ) -> NDArray[np.int_]:
            return most_useful(features_ND, logits_NK, labelled_N, count)

        def by_chance(
            _: NDArray[np.float64], labelled_N: NDArray[np.bool_], count: int
        ) -> NDArray[np.int_]:
            return np.flatnonzero(~labelled_N)[:count]

        useful.append(_course(data, pool, test, by_use, options, everything - BELOW))
        random.append(_course(data, pool, test, by_chance, options, everything - BELOW))
        wanted.append(everything - BELOW)
        print(seed, everything, useful[-1].needed(wanted[-1]), random[-1].needed(wanted[-1]))
    return {
        "wanted": wanted,
        "random": _summary(random, wanted),
        "useful": _summary(useful, wanted),
    }


def _course(
    data: Labelled,
    pool: NDArray[np.int_],
    test: NDArray[np.int_],
    choose: Choose,
    options: FitOptions,
    wanted: float,
) -> Course:
    labelled_N = np.arange(len(pool)) < START
    labels, accuracy = [], []
    for batch in _batches(len(pool)):
        rows = pool[labelled_N]
        targets = Targets.of_labels(data.labels_N[rows], len(data.classes))
        head = fit(data.features_NVD[rows], targets, np.arange(len(rows)), options=options).head
        answers = head.logits(data.features_NVD[test, 0]).argmax(axis=1)
        labels.append(int(labelled_N.sum()))
        accuracy.append(float((answers == data.labels_N[test]).mean()))
        if batch == 0 or np.mean(accuracy[-4:]) > wanted + 0.01:
            break
        logits_NK = head.logits(data.features_NVD[pool, 0])
        labelled_N[choose(logits_NK, labelled_N, batch)] = True
    return Course(tuple(labels), tuple(accuracy))


def _batches(photos: int) -> Iterator[int]:
    """Yield batches of ten, later of more, so that a course takes minutes; 0 at the end."""
    labelled = START
    while labelled < photos:
        batch = min(10 if labelled < 100 else 20 if labelled < 400 else 40, photos - labelled)
        labelled += batch
        yield batch
    yield 0


def _accuracy(
    data: Labelled, rows: NDArray[np.int_], test: NDArray[np.int_], options: FitOptions
) -> float:
    targets = Targets.of_labels(data.labels_N[rows], len(data.classes))
    head = fit(data.features_NVD[rows], targets, np.arange(len(rows)), options=options).head
    answers = head.logits(data.features_NVD[test, 0]).argmax(axis=1)
    return float((answers == data.labels_N[test]).mean())


def _summary(courses: list[Course], wanted: list[float]) -> dict[str, object]:
    needed = [course.needed(goal) for course, goal in zip(courses, wanted, strict=True)]
    known = [count for count in needed if count is not None]
    return {
        "needed": needed,
        "median": float(np.median(known)) if known else None,
        "mean": float(np.mean(known)) if known else None,
        "courses": [{"labels": course.labels, "accuracy": course.accuracy} for course in courses],
    }
