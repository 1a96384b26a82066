"""``potoo models optimise``: quantises a model as its next version, if that is worth it."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from observability.onnx_runtime import ort
from schemas.models import MANIFEST_FILE, MODEL_FILE, ModelManifest
from service.core.engine.engine import Images
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.publishing import Draft, Publish, drafting
from service.core.repository.version_files import read_labels, read_manifest
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.measuring.label_names import LabelNames
from service.modeltools.measuring.sample_images import find_images
from service.modeltools.optimising.calibrating import collect
from service.modeltools.optimising.choosing import Choice, Chooser
from service.modeltools.optimising.comparing import (
    MIN_JUDGING_IMAGES,
    Comparison,
    compare,
    optimised_manifest,
    prepare_images,
)
from service.modeltools.optimising.progress import NotOptimised, Progress
from service.modeltools.optimising.quantising import WeightBits, as_refusals, prepared

REPORT_FILE = "optimisation.json"
CALIBRATION_IMAGES, MIN_CALIBRATION_IMAGES = 200, 10
MAX_JUDGING_IMAGES, CHOOSING_IMAGES = 2000, 200
WEIGHT_BITS: tuple[WeightBits, ...] = (7, 8)
"""Bits of weights, in the order of trial: the first with an acceptable loss is used."""


@dataclass(frozen=True, slots=True)
class Optimised:
    """Outcome of an optimisation; ``folder``: of the new version."""

    folder: Path
    comparison: Comparison
    choice: Choice


def optimise(
    version_folder: Path,
    images_source: Path,
    *,
    allowed_points: float,
    min_agreement: float,
    limits: ImageLimits,
    keep_slower: bool = False,
    progress: Progress = lambda *_: None,
    notice: Callable[[str], None] = lambda _: None,
    publish: Publish = Draft.publish,
) -> Optimised:
    """Write a quantised version of a model, numbered above all others. Blocks for minutes.

    Args:
        images_source: photos like those it will see: a folder, whose folders may be named after
            labels, or a CSV file (see ``find_images``). Some calibrate it, the others evaluate it.
        allowed_points: percentage points of accuracy that it may lose, where measurable.
        min_agreement: least percentage of equal answers on the images where the original is
            confident; 0 skips the check.
        keep_slower: keep a version that is no faster here, since it may be where it will run.
        notice: callback for notices about the images.

    Raises:
        CannotReadImages: the CSV file cannot be read.
        Unsupported: the model takes no images, or gives no labels.
        NotOptimised: a multi-label model, too few images, too great a loss, or no gain.
        ModelRefused: the version cannot be read, or the disk is full.
    """
    manifest = read_manifest(version_folder)
    manifest.require_labels()
    if manifest.output.kind == "sigmoid":
        message = "a multi-label model (output.kind sigmoid) cannot be optimised: what it would "
        raise NotOptimised(f"{message}lose does not show in the best label of a photo")
    photos = _read_photos(version_folder, manifest, images_source, limits, progress, notice)
    with drafting(version_folder.parent.parent, manifest.name) as draft:
        folder = draft.folder
        target = folder / MODEL_FILE
        choice, comparison = _quantise(
            version_folder / MODEL_FILE,
            target,
            manifest,
            photos,
            lambda found: _loss(found, allowed_points, min_agreement),
            progress,
        )
        if comparison.speed_up <= 1 and not keep_slower:
            message = "it would be no faster on this machine (see --keep-slower)"
            raise NotOptimised(message)
        for extra in version_folder.iterdir():
            if extra.is_dir() and extra.name == GOLDEN_FOLDER:
                shutil.copytree(extra, folder / extra.name)
            elif extra.name == manifest.labels:
                shutil.copy(extra, folder / extra.name)
        engine = OnnxEngine(target, manifest)
        made = optimised_manifest(
            manifest, folder, draft.version, engine, comparison, photos.preprocessor
        )
        (folder / MANIFEST_FILE).write_text(made.model_dump_json(indent=2) + "\n")
        (folder / REPORT_FILE).write_text(_report(manifest.version, choice, comparison))
        return Optimised(publish(draft, None), comparison, choice)


@dataclass(frozen=True, slots=True)
class _Photos:
    """Prepared photos with their labels: some calibrate, the others evaluate."""

    preprocessor: Preprocessor
    calibrating: list[tuple[Images, int | None]]
    judging: list[tuple[Images, int | None]]


def _read_photos(
    version_folder: Path,
    manifest: ModelManifest,
    source: Path,
    limits: ImageLimits,
    progress: Progress,
    notice: Callable[[str], None],
) -> _Photos:
    """Read and divide the photos.

    Raises:
        CannotReadImages: the CSV file cannot be read.
        NotOptimised: there are too few.
    """
    preprocessor = Preprocessor(manifest.image_input, limits)
    labels = read_labels(version_folder, manifest)
    found = find_images(source, LabelNames.of(manifest, labels))
    for remark in found.remarks():
        notice(remark)
    progress("reading images", 0, len(found.images))
    read = prepare_images(found.images, preprocessor, CALIBRATION_IMAGES + MAX_JUDGING_IMAGES)
    count = min(CALIBRATION_IMAGES, len(read) // 3)
    photos = _Photos(preprocessor, read[:count], read[count:])
    if count < MIN_CALIBRATION_IMAGES or len(photos.judging) < MIN_JUDGING_IMAGES:
        message = f"{len(read)} images can be read in {source}; 30 are too few, 500 good"
        raise NotOptimised(message)
    return photos


def _quantise(
    source: Path,
    target: Path,
    manifest: ModelManifest,
    photos: _Photos,
    fault_of: Callable[[Comparison], str],
    progress: Progress,
) -> tuple[Choice, Comparison]:
    """Write the best INT8 version to ``target``, with weights of as few bits as do.

    Raises:
        NotOptimised: it cannot be quantised, or ``fault_of`` names a fault of each.
    """
    original = OnnxEngine(source, manifest)
    calibrating = [image for image, _ in photos.calibrating]
    choosing = [image for image, _ in photos.judging[:CHOOSING_IMAGES]]
    fault = ""
    with prepared(source, target.with_suffix(".prepared")) as graph:
        with as_refusals():
            found = collect(graph, manifest.input.name, calibrating, progress)
        chooser = Chooser(graph, target, manifest, original, found, choosing, progress)
        for bits in WEIGHT_BITS:
            choice = chooser.choose(bits)
            file = choice.taken.file
            sizes = (source.stat().st_size, file.stat().st_size)
            engine = OnnxEngine(file, manifest)
            comparison = compare(
                original, engine, manifest, photos.judging, sizes, len(calibrating), progress
            )
            fault = fault_of(comparison)
            if not fault:
                file.replace(target)
                for other in choice.tried:
                    other.file.unlink(missing_ok=True)
                return choice, comparison
    raise NotOptimised(fault)


def _loss(both: Comparison, allowed_points: float, min_agreement: float) -> str:
    """Describe a loss that is not acceptable; empty if there is none.

    Raises:
        NotOptimised: too few images to measure agreement.
    """
    if min_agreement and both.sure_images < MIN_JUDGING_IMAGES:
        raise NotOptimised(
            f"the original is sure about {both.sure_images} of {both.judging_images} images, too "
            "few to tell whether both answer the same: give more photos like those it will see, "
            "or --min-agreement 0"
        )
    if both.lost_points is not None and both.lost_points > allowed_points:
        return (
            f"it would lose {both.lost_points:.2f} points of accuracy on {both.labelled_images} "
            f"images, more than the {allowed_points:g} allowed (--max-loss)"
        )
    agreement = both.confident_agreement
    if min_agreement and agreement is not None and 100 * agreement < min_agreement:
        return (
            f"it would answer the same on {agreement:.2%} of the {both.sure_images} images that "
            f"the original is sure about, less than the {min_agreement:g}% asked for "
            "(--min-agreement)"
        )
    return ""


def _report(from_version: int, choice: Choice, comparison: Comparison) -> str:
    recipe = choice.taken.recipe
    facts = {
        "from_version": from_version,
        "method": "INT8, static, QDQ, per channel, symmetric weights",
        "weight_bits": recipe.weight_bits,
        "calibration": recipe.calibration,
        "float_ends": recipe.float_ends,
        "reason": choice.reason,
        "tried": [one.facts() for one in choice.tried],
        "lost_points": None if comparison.lost_points is None else round(comparison.lost_points, 2),
        "speed_up": round(comparison.speed_up, 2),
        **asdict(comparison),
        "machine": {"processor": platform.machine(), "onnxruntime": ort.__version__},
    }
    return json.dumps(facts, indent=2) + "\n"
