"""Fits temperature and thresholds of the default model to every set of photos at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.models import ModelManifest
from service.core.imaging.hedging import NEVER, Hedger
from service.core.imaging.postprocessing import probabilities
from service.modeltools.imagenet.building import OUTPUT_SPEC
from service.modeltools.imagenet.network import ExtraClasses
from service.modeltools.measuring.best_answers import ABSTAINED, BestAnswers, best_answers
from service.modeltools.measuring.fitting import fit_temperature, fit_thresholds
from service.modeltools.measuring.truth import Truth
from tools.imagenet.features import Features, Sample
from tools.imagenet.photos import DRAWINGS

PRECISION = 0.95
"""Precision that the model promises: right answers out of named ones, at the level named."""
MARGIN = 0.005
"""Added to the precision, so that it also holds on photos not fitted on."""
PRECISION_IN_PART = 0.9
"""Precision below the widest level, on photos whose class the network has only in part."""
KNOWN_SET = "caltech96"
FLOWERS = "flowers"
"""Not used for thresholds: thousands of easy photos would hide the other sets."""
SETS_IN_PART = ("clothing", "trashnet6")


def fit(
    found: Features, extra: ExtraClasses, manifest: ModelManifest
) -> tuple[float, tuple[float, ...]]:
    """Fit on the photos for fitting; return (temperature, threshold of each level).

    The temperature is fitted on photos whose class the network has. Each threshold is the higher of
    two: fitted on those and the drawings, and on photos whose class it has in part. The widest
    level comes last: its threshold is the lowest with which the precision holds for all named
    answers to known photos and drawings.
    """
    labels = tuple(manifest.labels)
    hedger = Hedger(manifest, labels)

    def outputs_and_truths(collections: Sequence[str]) -> tuple[NDArray[np.float32], list[Truth]]:
        chosen = found.select(lambda sample: _is_fitted(sample, collections))
        truths = [truth_of(sample, manifest) for sample in chosen.samples]
        return chosen.outputs(extra), truths

    outputs_NK, truths = outputs_and_truths([KNOWN_SET])
    temperature = round(fit_temperature(outputs_NK, truths, OUTPUT_SPEC), 3)

    def thresholds(collections: Sequence[str], precision: float) -> tuple[float, ...]:
        outputs_NK, truths = outputs_and_truths(collections)
        shares_NK = probabilities(outputs_NK, OUTPUT_SPEC, temperature)
        return fit_thresholds(shares_NK, truths, hedger, precision)

    known = thresholds([KNOWN_SET, DRAWINGS], PRECISION)
    in_part = thresholds(SETS_IN_PART, PRECISION_IN_PART)
    narrow = tuple(map(max, known[:-1], in_part[:-1]))
    outputs_NK, truths = outputs_and_truths([KNOWN_SET, DRAWINGS])
    shares_NK = probabilities(outputs_NK, OUTPUT_SPEC, temperature)
    answers = best_answers(shares_NK, hedger)
    return temperature, (*narrow, _widest(answers, answers.right(truths), narrow))


def _widest(answers: BestAnswers, right_NL: NDArray[np.bool_], narrow: tuple[float, ...]) -> float:
    """Find the lowest threshold of the widest level that keeps the precision of all answers."""
    for thousandths in range(1000):
        levels_N = answers.levels((*narrow, thousandths / 1000))
        named_N = levels_N != ABSTAINED
        if right_NL[named_N, levels_N[named_N]].mean() >= PRECISION + MARGIN:
            return thousandths / 1000
    return NEVER


def truth_of(sample: Sample, manifest: ModelManifest) -> Truth:
    """Return the truth of a sample; a drawing has no right name."""
    return Truth.of(sample.names, tuple(manifest.labels), manifest.groups)


def _is_fitted(sample: Sample, collections: Sequence[str]) -> bool:
    if sample.manner != "fit" or sample.collection not in collections:
        return False
    return bool(sample.names) or sample.collection == DRAWINGS
