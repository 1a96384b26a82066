"""Runs a version over images on all cores, and keeps its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from schemas.models import MODEL_FILE, ModelManifest
from schemas.operator_error import OperatorError
from service.core.engine.engine import Engine
from service.core.engine.graph_check import ManifestMismatch
from service.core.engine.onnx_engine import OnnxEngine
from service.core.engine.pool import usable_cores
from service.core.imaging.hedging import Hedger
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.core.repository.repository import ModelRefused
from service.core.repository.version_files import read_labels, read_manifest
from service.modeltools.measuring.evaluation import Evaluation
from service.modeltools.measuring.label_names import LabelNames
from service.modeltools.measuring.measuring import measure
from service.modeltools.measuring.sample_images import SampleImage, find_images
from service.modeltools.measuring.truth import Truth, truths_of

MAX_IMAGES = 200_000
"""Limit on images, whose outputs are kept in memory: 800 MB for a thousand classes."""
_AHEAD = 256
"""Images submitted to the threads before the first result is awaited."""
_TOLD = 5

Progress = Callable[[str, int, int], None]
"""Progress callback: the activity, the count done, the total."""
Notice = Callable[[str], None]
"""Callback for notices about the given images, a line each."""


class NothingToMeasure(OperatorError):
    """The images cannot be used at all. The message is for people."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model, with its labels and hedger."""

    folder: Path
    manifest: ModelManifest
    labels: tuple[str, ...]
    hedger: Hedger


@dataclass(frozen=True, slots=True)
class Observed:
    """Outputs of a version for N images of known content, including foreign ones.

    Attributes:
        truths: of the N images.
        output_NK: the engine's output, float32 [N, K], finite.
        unreadable: number of further images that could not be read.
    """

    version: Version
    truths: list[Truth]
    output_NK: NDArray[np.float32]
    unreadable: int

    def part(self, rows: Sequence[int]) -> Observed:
        """Select some of the images."""
        truths = [self.truths[n] for n in rows]
        return Observed(self.version, truths, self.output_NK[rows], self.unreadable)


def open_version(folder: Path) -> Version:
    """Read the manifest and labels of a version, but not its graph.

    Raises:
        ModelRefused: the manifest cannot be read or contradicts itself.
    """
    manifest = read_manifest(folder)
    try:
        labels = read_labels(folder, manifest)
        return Version(folder, manifest, labels, Hedger(manifest, labels))
    except ManifestMismatch as error:
        raise ModelRefused(f"{folder}: {error}") from error


def open_engine(version: Version) -> OnnxEngine:
    """Load the version's graph; one thread a run.

    Raises:
        ModelRefused: the graph cannot be loaded, or the manifest does not describe it.
    """
    try:
        return OnnxEngine(version.folder / MODEL_FILE, version.manifest)
    except ManifestMismatch as error:
        raise ModelRefused(f"{version.folder}: {error}") from error


def observe(
    version: Version,
    source: Path,
    foreign: Sequence[Path],
    limits: ImageLimits,
    progress: Progress,
    notice: Notice,
    most: int = MAX_IMAGES,
) -> Observed:
    """Run a version over all images with a known name. Blocks, for minutes if many.

    Args:
        source: a folder or a list of images, see ``find_images``. Images whose labels the model
            does not know are left out.
        foreign: folders of images that show nothing the model knows.
        most: largest number of images.

    Raises:
        CannotReadImages: the list cannot be read.
        NothingToMeasure: there is no usable image, or there are too many.
        Unsupported: the model takes no images, or gives no labels.
        ModelRefused: the graph cannot be loaded, or does not fit the labels.
    """
    spec = version.manifest.image_input
    version.manifest.require_labels()
    images = _known(version, source, notice) + _foreign(foreign)
    if len(images) > most:
        message = f"{len(images)} images are too many: {most} at most, to limit memory"
        raise NothingToMeasure(message)
    if version.manifest.output.kind == "sigmoid":
        notice("its labels are not mutually exclusive: only 'right label' is meaningful")
    engine = open_engine(version)
    preprocess = Preprocessor(spec, limits)
    classes = len(version.labels) + version.manifest.output.label_offset
    usable: list[SampleImage] = []
    faults: list[str] = []
    output_NK = np.empty((len(images), classes), np.float32)
    for image, found in zip(images, _run_all(engine, preprocess, images, progress), strict=True):
        if isinstance(found, str):
            faults.append(f"{image.file}: {found}")
            continue
        if found.shape != (classes,):
            message = (
                f"{version.folder}: manifest field labels: they make {classes} classes, but the "
                f"graph gives {found.size}"
            )
            raise ModelRefused(message)
        output_NK[len(usable)] = found
        usable.append(image)
    if not any(image.names for image in usable):
        message = f"none of the images in {source} can be read; the first: {faults[0]}"
        raise NothingToMeasure(message)
    for fault in faults[:_TOLD]:
        notice(f"{fault}; left out")
    if len(faults) > _TOLD:
        notice(f"{len(faults) - _TOLD} more images cannot be read; left out")
    truths = truths_of(usable, version.labels, version.manifest.groups)
    return Observed(version, truths, output_NK[: len(usable)], len(faults))


def evaluate(observed: Observed, version: Version | None = None) -> Evaluation:
    """Evaluate the outputs, or those outputs under another version of the same graph."""
    version = version or observed.version
    manifest = version.manifest
    shares_NK = probabilities(observed.output_NK, manifest.output, manifest.temperature)
    return measure(shares_NK, observed.truths, version.hedger)


def _known(version: Version, source: Path, notice: Notice) -> list[SampleImage]:
    """Find the images with a name that the model knows."""
    found = find_images(source, LabelNames.of(version.manifest, version.labels))
    for remark in found.remarks():
        notice(remark)
    if not found.images:
        message = f"there are no images in {source}"
        raise NothingToMeasure(message)
    known = [image for image in found.images if image.names]
    if not known:
        message = (
            f"none of the {len(found.images)} images in {source} has a label that the model "
            "knows: folders or the column 'label' must be called like labels, synonyms or groups"
        )
        raise NothingToMeasure(message)
    return known


def _foreign(folders: Sequence[Path]) -> list[SampleImage]:
    images = []
    for folder in folders:
        found = find_images(folder, LabelNames({})).images
        if not found:
            message = f"there are no images in {folder}"
            raise NothingToMeasure(message)
        images += found
    return images


def _run_all(
    engine: Engine,
    preprocess: Preprocessor,
    images: Sequence[SampleImage],
    progress: Progress,
) -> Iterator[NDArray[np.float32] | str]:
    """Yield the output [K] of each image, or the reason for its failure, in order."""

    def run(image: SampleImage) -> NDArray[np.float32] | str:
        try:
            tensor = preprocess(image.file.read_bytes()).tensor
            output_K = engine.run(tensor[np.newaxis])[0]
        except ServiceError as error:
            return error.detail
        except OSError as error:
            return error.strerror or str(error)
        return output_K if np.isfinite(output_K).all() else "the model's answer is not finite"

    executor = ThreadPoolExecutor(usable_cores(), thread_name_prefix="potoo-evaluate")
    done = 0
    try:
        for start in range(0, len(images), _AHEAD):
            for found in executor.map(run, images[start : start + _AHEAD]):
                done += 1
                progress("running", done, len(images))
                yield found
    finally:  # an interrupt waits only for images already running
        executor.shutdown(cancel_futures=True)
