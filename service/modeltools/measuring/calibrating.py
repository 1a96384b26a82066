"""``potoo models calibrate``: writes the next version of a model with calibrated confidence.

Temperature and thresholds are fitted on one half of the images; the reported and stored figures are
measured on the other half.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    Calibration,
    GoldenPrediction,
    GoldenSample,
    ModelManifest,
)
from service.core.imaging.hedging import NEVER, Hedger
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.publishing import Draft, Publish, drafting
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.measuring.evaluation import Evaluation
from service.modeltools.measuring.fitting import (
    CannotFit,
    check_precision,
    fit_temperature,
    fit_thresholds,
)
from service.modeltools.measuring.running import (
    Notice,
    Observed,
    Progress,
    Version,
    evaluate,
    observe,
    open_engine,
    open_version,
)

_GROUP_LEVELS = 8
"""Largest number of group thresholds in a manifest; the last applies to wider groups too."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Outcome of a calibration.

    Attributes:
        folder: of the new version; None for a dry run.
        thresholds: of labels, then of each level of groups.
        fitted_on: images in the fitting half, including foreign ones.
        before, after: old and new version, evaluated on the other half.
    """

    folder: Path | None
    temperature: float
    thresholds: tuple[float, ...]
    fitted_on: int
    before: Evaluation
    after: Evaluation


def calibrate(
    version_folder: Path,
    source: Path,
    foreign: Sequence[Path],
    *,
    precision: float,
    limits: ImageLimits,
    check: Callable[[Path], object],
    dry_run: bool = False,
    progress: Progress = lambda *_: None,
    notice: Notice = lambda _: None,
    publish: Publish = Draft.publish,
) -> Calibrated:
    """Write a new version of a model, numbered above all others, with the same graph. Blocks.

    Args:
        source: photos like those it will see, see ``find_images``.
        foreign: folders of photos of unknown things; any name given to them is wrong.
        precision: the target share of right names, above 0 and below 1.
        check: raises unless the version in a folder can be served.
        dry_run: measure without writing.

    Raises:
        CannotFit: the images are not usable, or no threshold reaches the precision.
        CannotReadImages, NothingToMeasure, Unsupported: see ``observe``.
        ModelRefused: the version cannot be read or used, the new one fails its checks, or the
            disk is full.
    """
    check_precision(precision)
    version = open_version(version_folder)
    if version.manifest.output.kind == "sigmoid":
        message = (
            f"'{version.manifest.name}' gives each label a score of its own (output.kind sigmoid); "
            "temperature and thresholds are for models with mutually exclusive labels"
        )
        raise CannotFit(message)
    observed = observe(version, source, foreign, limits, progress, notice)
    fitting, judging = _halves(observed)
    fitted = _fit(fitting, precision)
    before = evaluate(judging)
    hedger = Hedger(fitted, version.labels)
    after = evaluate(judging, Version(version_folder, fitted, version.labels, hedger))
    folder = None
    if not dry_run:
        how = _how(source, precision, version, len(fitting.truths), after)
        folder = _write_version(version, fitted, how, limits, check, publish)
    return Calibrated(
        folder, fitted.temperature, hedger.thresholds, len(fitting.truths), before, after
    )


def _halves(observed: Observed) -> tuple[Observed, Observed]:
    """Split the images into two halves, alternating within each name; deterministic."""
    titles = [truth.title for truth in observed.truths]
    order = sorted(range(len(titles)), key=titles.__getitem__)
    return observed.part(order[::2]), observed.part(order[1::2])


def _fit(observed: Observed, precision: float) -> ModelManifest:
    """Return the manifest with temperature and thresholds fitted to the images."""
    manifest, hedger = observed.version.manifest, observed.version.hedger
    temperature = fit_temperature(observed.output_NK, observed.truths, manifest.output)
    shares_NK = probabilities(observed.output_NK, manifest.output, temperature)
    label, *groups = fit_thresholds(shares_NK, observed.truths, hedger, precision)
    if min(label, *groups, NEVER) == NEVER:
        message = (
            f"no score threshold reaches a precision of {precision:.1%} on these images: give a "
            "lower --precision"
        )
        raise CannotFit(message)
    if len(groups) > _GROUP_LEVELS:
        groups[_GROUP_LEVELS - 1 :] = [max(groups[_GROUP_LEVELS - 1 :])]
    changes = {
        "temperature": temperature,
        "abstain_below": label,
        "group_thresholds": tuple(groups),
    }
    return manifest.model_copy(update=changes)


def _how(
    source: Path, precision: float, version: Version, fitted_on: int, found: Evaluation
) -> Calibration:
    """Build the calibration entry of the new manifest."""
    notes = f"fitted on version {version.manifest.version} with {fitted_on} other photos"
    if found.foreign is not None:
        of = found.foreign.answered
        notes += f"; {of.count} of {of.of} foreign photos got a name, which counts as wrong"
    answered, right = found.answered.value, found.precision_with_foreign.value
    return Calibration(
        precision=precision,
        dataset=source.resolve().name,
        photos=found.images,
        answered=None if answered is None else round(answered, 4),
        right=None if right is None else round(right, 4),
        notes=notes,
    )


def _write_version(
    version: Version,
    fitted: ModelManifest,
    how: Calibration,
    limits: ImageLimits,
    check: Callable[[Path], object],
    publish: Publish,
) -> Path:
    """Write the new version beside the other; return its folder."""
    root = version.folder.parent.parent
    with drafting(root, fitted.name) as draft:
        _copy_files(version.folder, draft.folder)
        golden = _golden(version, fitted, limits)
        # The recorded calibration error was measured at another temperature.
        same = fitted.temperature == version.manifest.temperature
        cards = tuple(
            card if same else card.model_copy(update={"expected_calibration_error": None})
            for card in fitted.accuracy
        )
        changes = {
            "version": draft.version,
            "calibration": how,
            "golden": golden,
            "accuracy": cards,
        }
        text = fitted.model_copy(update=changes).model_dump_json(indent=2)
        (draft.folder / MANIFEST_FILE).write_text(text + "\n", "utf-8")
        check(draft.folder)
        return publish(draft, None)


def _copy_files(source: Path, target: Path) -> None:
    """Copy all files but the manifest; hard-link the graph where the file system can."""
    for path in source.iterdir():
        if path.name == MODEL_FILE:
            with suppress(OSError):  # another disk behind a link, or one without hard links
                os.link(path.resolve(), target / path.name)
                continue
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name != MANIFEST_FILE:
            shutil.copyfile(path, target / path.name)


def _golden(
    version: Version, fitted: ModelManifest, limits: ImageLimits
) -> tuple[GoldenSample, ...]:
    """Compute the golden samples at the new temperature."""
    if not fitted.golden:
        return ()
    engine, prepare = open_engine(version), Preprocessor(fitted.image_input, limits)
    offset = fitted.output.label_offset
    samples = []
    for sample in fitted.golden:
        data = (version.folder / GOLDEN_FOLDER / sample.file).read_bytes()
        output_NK = engine.run(prepare(data).tensor[np.newaxis])
        shares_K = probabilities(output_NK, fitted.output, fitted.temperature)[0]
        predictions = tuple(
            GoldenPrediction(
                index=old.index, score=round(min(float(shares_K[old.index - offset]), 1.0), 4)
            )
            for old in sample.predictions
        )
        samples.append(sample.model_copy(update={"predictions": predictions}))
    return tuple(samples)
