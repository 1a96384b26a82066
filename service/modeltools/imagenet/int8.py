"""``imagenet-int8``: the default model quantised, a quarter of the size."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from schemas.models import (
    MANIFEST_FILE,
    MODEL_FILE,
    GoldenPrediction,
    GoldenSample,
    ModelManifest,
)
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.image_limits import ImageLimits
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.core.serving.checks.checks import GOLDEN_FOLDER
from service.modeltools.imagenet import building
from service.modeltools.imagenet.network import INPUT
from service.modeltools.imagenet.scenes import scenes
from service.modeltools.optimising.comparing import CONFIDENT
from service.modeltools.optimising.progress import NotOptimised
from service.modeltools.optimising.quantising import quantise

LIMITS = ImageLimits(max_pixels=10**6, max_frames=1, max_decode_bytes=2**26)
"""Decoding limits for the project's own drawings."""

Progress = Callable[[str, int, int], None]


def write_int8_model(weights: Path, target: Path, progress: Progress = lambda *_: None) -> None:
    """Write the quantised graph, calibrated on drawn scenes. Blocks for seconds.

    Raises:
        UnsafeWeights, WrongWeights: see ``building.write_model``.
    """
    prepare = Preprocessor(building.INPUT_SPEC, LIMITS)
    calibration = [prepare(scene).tensor[np.newaxis] for scene in scenes()]
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        source = Path(folder) / MODEL_FILE
        building.write_model(weights, source)
        quantise(source, target, INPUT, calibration, progress)


def write_int8_version(
    folder: Path, weights: Path, golden: Path, progress: Progress = lambda *_: None
) -> ModelManifest:
    """Write the version folder; see ``building.write_version``.

    Raises:
        NotOptimised: the best class of a drawing changed although the original is confident in it.
    """
    write_int8_model(weights, folder / MODEL_FILE, progress)
    card = building.read_card()
    manifest = building.make_manifest(folder, card).model_copy(
        update={
            "description": "imagenet as INT8: a quarter of the size, right a little less often",
            "accuracy": card.int8_accuracy,
            "calibration": card.int8_calibration,
        }
    )
    (folder / GOLDEN_FOLDER).mkdir()
    samples = []
    engine = OnnxEngine(folder / MODEL_FILE, manifest)
    prepare = Preprocessor(manifest.image_input, LIMITS)
    for sample in card.golden:
        shutil.copyfile(golden / sample.file, folder / GOLDEN_FOLDER / sample.file)
        output_NK = engine.run(prepare((golden / sample.file).read_bytes()).tensor[np.newaxis])
        shares_K = probabilities(output_NK, manifest.output, manifest.temperature)[0]
        best = sample.predictions[0]
        if best.score >= CONFIDENT and int(shares_K.argmax()) != best.index:
            message = f"quantised, it answers the golden image {sample.file} differently"
            raise NotOptimised(message)
        predictions = tuple(
            GoldenPrediction(index=one.index, score=round(float(shares_K[one.index]), 4))
            for one in sample.predictions
        )
        samples.append(GoldenSample(file=sample.file, predictions=predictions))
    manifest = manifest.model_copy(update={"golden": tuple(samples)})
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
    (folder / building.README_FILE).write_bytes(building.read_readme())
    return manifest
