"""Labels that the most useful photos first save, against random order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.teach.labelled import Labelled
from service.teach.choosing.ranking import most_useful
from service.teach.heads.arrays import Features
from service.teach.heads.fitting import Targets
from service.teach.heads.kernel import fit_kernel
from service.teach.verdict.refitting import Refitting

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


def measure(data: Labelled, seeds: int) -> dict[str, object]:
    """Label photos in both orders from the same first ones; a quarter is set aside to judge.

    The head is the ridge that the learning curve is measured with, behind the kernel of all photos
    that may be labelled, fitted anew after each batch.
    """
    targets = Targets.of_labels(data.labels_N, len(data.classes))
    random: list[Course] = []
    useful: list[Course] = []
    wanted: list[float] = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data.labels_N))
        test, pool = np.split(order, [round(TEST_SHARE * len(order))])
        kernel = fit_kernel(data.features_NVD[pool, 0])
        mapped_NR = data.features_NVD[:, 0] if kernel is None else kernel(data.features_NVD[:, 0])
        refitting = Refitting(mapped_NR, targets)
        features_ND = mapped_NR[pool]

        def by_use(
            logits_NK: NDArray[np.float64],
            labelled_N: NDArray[np.bool_],
            count: int,
            features_ND: Features = features_ND,
        ) -> NDArray[np.int_]:
            return most_useful(features_ND, logits_NK, labelled_N, count)

        wanted.append(float(refitting(pool, test).mean()) - BELOW)
        useful.append(_course(refitting, data.labels_N, pool, test, by_use, wanted[-1]))
        random.append(_course(refitting, data.labels_N, pool, test, _by_chance, wanted[-1]))
        print(seed, wanted[-1], useful[-1].needed(wanted[-1]), random[-1].needed(wanted[-1]))
    return {
        "wanted": wanted,
        "random": _summary(random, wanted),
        "useful": _summary(useful, wanted),
    }


def _by_chance(
    _: NDArray[np.float64], labelled_N: NDArray[np.bool_], count: int
) -> NDArray[np.int_]:
    return np.flatnonzero(~labelled_N)[:count]


def _course(
    refitting: Refitting,
    labels_N: NDArray[np.int_],
    pool: NDArray[np.int_],
    test: NDArray[np.int_],
    choose: Choose,
    wanted: float,
) -> Course:
    labelled_N = np.arange(len(pool)) < START
    everything = np.concatenate([pool, test])
    labels: list[int] = []
    accuracy: list[float] = []
    for batch in _batches(len(pool)):
        rows = pool[labelled_N]
        labels.append(len(rows))
        answers_AK = np.nan_to_num(refitting.answers(rows, everything), neginf=-1.0)
        right = answers_AK[len(pool) :].argmax(axis=1) == labels_N[test]
        accuracy.append(float(right.mean()))
        if batch == 0 or np.mean(accuracy[-4:]) > wanted + 0.01:
            break
        labelled_N[choose(answers_AK[: len(pool)], labelled_N, batch)] = True
    return Course(tuple(labels), tuple(accuracy))


def _batches(photos: int) -> Iterator[int]:
    """Yield batches of ten, later of more, so that a course takes minutes; 0 at the end."""
    labelled = START
    while labelled < photos:
        batch = min(10 if labelled < 100 else 20 if labelled < 400 else 40, photos - labelled)
        labelled += batch
        yield batch
    yield 0


def _summary(courses: list[Course], wanted: list[float]) -> dict[str, object]:
    needed = [course.needed(goal) for course, goal in zip(courses, wanted, strict=True)]
    known = [count for count in needed if count is not None]
    return {
        "needed": needed,
        "median": float(np.median(known)) if known else None,
        "mean": float(np.mean(known)) if known else None,
        "courses": [{"labels": course.labels, "accuracy": course.accuracy} for course in courses],
    }
