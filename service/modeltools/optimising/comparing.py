"""Compares a model with its INT8 version: speed, size, accuracy and agreement.

The images are not those of the calibration.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ServiceError
from schemas.models import MODEL_FILE, Accuracy, GoldenPrediction, GoldenSample, ModelManifest
from service.core.engine.engine import Images
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.measuring.sample_images import SampleImage
from service.modeltools.optimising.progress import NotOptimised, Progress

MIN_JUDGING_IMAGES = 20
CONFIDENT = 0.5
"""Least score of the original for an image to count in ``confident_agreement``."""


@dataclass(frozen=True, slots=True)
class Side:
    """Figures of one of the two models. ``top1``: accuracy on the labelled images, 0..1."""

    bytes: int
    run_ms: float
    top1: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Original and optimised model on the same images. Shares are 0..1.

    ``agreement``: same best class on all images; ``confident_agreement``: on the ``sure_images``,
    where the original is confident, None without such images.
    """

    calibration_images: int
    judging_images: int
    labelled_images: int
    sure_images: int
    agreement: float
    confident_agreement: float | None
    original: Side
    optimised: Side

    @property
    def lost_points(self) -> float | None:
        """Percentage points of accuracy lost; None if too few images are labelled."""
        if self.original.top1 is None or self.optimised.top1 is None:
            return None
        return 100 * (self.original.top1 - self.optimised.top1)

    @property
    def speed_up(self) -> float:
        """Ratio of the original's run time to the optimised one's."""
        return self.original.run_ms / self.optimised.run_ms


def prepare_images(
    images: Sequence[SampleImage], preprocessor: Preprocessor, wanted: int
) -> list[tuple[Images, int | None]]:
    """Prepare the first ``wanted`` readable images as batches of one, with their labels."""
    prepared: list[tuple[Images, int | None]] = []
    for image in images:
        if len(prepared) == wanted:
            break
        try:
            tensor = preprocessor(image.file.read_bytes()).tensor
        except (ServiceError, OSError):
            continue  # a folder of photos may hold other files
        prepared.append((tensor[np.newaxis], image.label))
    return prepared


def compare(
    original: OnnxEngine,
    optimised: OnnxEngine,
    manifest: ModelManifest,
    images: Sequence[tuple[Images, int | None]],
    sizes: tuple[int, int],
    calibration_images: int,
    progress: Progress,
) -> Comparison:
    """Run both on the same images, alternating; times are those of the thread, without waits."""
    engines = (original, optimised)
    best: tuple[list[int], list[int]] = ([], [])
    times: tuple[list[float], list[float]] = ([], [])
    sure = []
    for number, (image, _) in enumerate(images, 1):
        for side, engine in enumerate(engines):
            began = time.thread_time()
            shares_K = shares(engine, manifest, image)
            times[side].append(1000 * (time.thread_time() - began))
            best[side].append(int(shares_K.argmax()))
            if side == 0:
                sure.append(bool(shares_K.max() >= CONFIDENT))
        progress("comparing", number, len(images))
    same = np.equal(*best)
    labelled = [(k, label) for k, (_, label) in enumerate(images) if label is not None]

    def side_of(side: int) -> Side:
        right = [best[side][k] == label for k, label in labelled]
        return Side(
            sizes[side],
            float(np.median(times[side])),
            float(np.mean(right)) if len(right) >= MIN_JUDGING_IMAGES else None,
        )

    return Comparison(
        calibration_images=calibration_images,
        judging_images=len(images),
        labelled_images=len(labelled),
        sure_images=sum(sure),
        agreement=float(same.mean()),
        confident_agreement=float(same[sure].mean()) if any(sure) else None,
        original=side_of(0),
        optimised=side_of(1),
    )


def shares(engine: OnnxEngine, manifest: ModelManifest, image: Images) -> NDArray[np.float64]:
    """Return the calibrated probabilities [K] of one image."""
    output_NK = engine.run(image)
    shares_K: NDArray[np.float64] = probabilities(output_NK, manifest.output, manifest.temperature)[
        0
    ]
    return shares_K


def optimised_manifest(
    original: ModelManifest,
    folder: Path,
    version: int,
    engine: OnnxEngine,
    comparison: Comparison,
    preprocessor: Preprocessor,
) -> ModelManifest:
    """Build the manifest of the model in ``folder``, which has its golden images already.

    Raises:
        NotOptimised: the best class of a golden image differs from the original's.
    """
    digest = hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest()
    golden = []
    offset = original.output.label_offset
    for sample in original.golden:
        data = (folder / GOLDEN_FOLDER / sample.file).read_bytes()
        shares_K = shares(engine, original, preprocessor(data).tensor[np.newaxis])
        if int(shares_K.argmax()) + offset != sample.predictions[0].index:
            message = f"the optimised model answers the golden image {sample.file} differently"
            raise NotOptimised(message)
        predictions = tuple(
            GoldenPrediction(index=one.index, score=round(float(shares_K[one.index - offset]), 4))
            for one in sample.predictions
        )
        golden.append(
            GoldenSample(file=sample.file, predictions=predictions, tolerance=sample.tolerance)
        )
    top1 = comparison.optimised.top1
    accuracy: tuple[Accuracy, ...] = ()
    if top1 is not None:
        accuracy = (
            Accuracy(
                dataset="the images given to potoo models optimise",
                split="not used for calibration",
                photos=comparison.labelled_images,
                top1=round(top1, 4),
            ),
        )
    return original.model_copy(
        update={
            "version": version,
            "sha256": digest,
            "source": f"version {original.version}, quantised to INT8; {original.source}",
            "accuracy": accuracy,
            "golden": tuple(golden),
        }
    )
