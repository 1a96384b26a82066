"""``make imagenet-card``: fits the default model's thresholds, measures it and writes its card."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.support import results
from schemas.models import Calibration, GoldenPrediction, GoldenSample, ModelManifest
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import probabilities, top_k
from service.core.imaging.preprocessing import Preprocessor
from service.modeltools.imagenet import building
from service.modeltools.imagenet.int8 import write_int8_model
from service.modeltools.imagenet.network import ExtraClasses
from service.modeltools.measuring.best_answers import ABSTAINED, best_answers
from service.modeltools.measuring.evaluation import Evaluation
from service.modeltools.measuring.measuring import measure
from service.modeltools.sources.built_in import BUNDLED_MODELS
from service.settings import LimitSettings
from tools.imagenet.card import CardFigures, Nothing, make_card, write_readme
from tools.imagenet.drawings import KINDS
from tools.imagenet.extra_classes import train_extra_classes
from tools.imagenet.features import Features, Sample, run_network
from tools.imagenet.fitting import FLOWERS, KNOWN_SET, SETS_IN_PART, fit, truth_of
from tools.imagenet.photos import DRAWINGS, MIXED, OPEN, PUBLIC, Photo, count_expected, photos
from tools.imagenet.scores import compare_scores

FOLDER = Path(building.__file__).parent
GOLDEN = BUNDLED_MODELS / "everyday/1/golden"
GOLDEN_PREDICTIONS = 3
SETS = (KNOWN_SET, FLOWERS, *SETS_IN_PART, PUBLIC, OPEN)


def main() -> None:
    """Write extra_classes.npz, card.json and README.md beside the builder, and a result."""
    parser = argparse.ArgumentParser(prog="make imagenet-card", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of photos and data sets")
    arguments = parser.parse_args()
    files = list(photos(arguments.data))
    measured = write_all(files, run_network(files, _progress))
    print(f"written to {results.write('imagenet', asdict(measured))}")


def write_all(files: Sequence[Photo], found: Features) -> CardFigures:
    """Train the extra classes, fit, evaluate and write all files.

    Args:
        found: the network's features and logits of ``files``.
    """
    extra = train_extra_classes(found)
    np.savez(FOLDER / building.EXTRA_FILE, weights_EF=extra.weights_EF, bias_E=extra.bias_E)
    with _version(_unfitted()) as (_, manifest):
        temperature, thresholds = fit(found, extra, manifest)
    fitted = _card(temperature, thresholds)
    with _version(fitted) as (folder, manifest):
        found = _with_indices_named(found, manifest)
        int8_sets = _int8_sets(files, found, folder, manifest)
        measured = _measure(found, extra, manifest, int8_sets)
        golden = _golden(folder, manifest)
    card = make_card(measured, golden)
    (FOLDER / building.CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")
    readme = write_readme(measured)
    (FOLDER / building.README_FILE).write_text(readme)
    print(readme)
    return measured


def _measure(
    found: Features,
    extra: ExtraClasses,
    manifest: ModelManifest,
    int8_sets: dict[str, Evaluation],
) -> CardFigures:
    temperature = manifest.temperature
    hedger = Hedger(manifest, tuple(manifest.labels))
    judged = found.select(lambda sample: sample.manner == "judge")

    def of(name: str) -> Features:
        return judged.select(lambda sample: sample.collection == name and bool(sample.names))

    sets = {}
    for name in SETS:
        chosen = of(name)
        shares_NK = probabilities(chosen.outputs(extra), building.OUTPUT_SPEC, temperature)
        truths = [truth_of(sample, manifest) for sample in chosen.samples]
        sets[name] = measure(shares_NK, truths, hedger)
    drawn = judged.select(lambda sample: sample.collection == DRAWINGS)
    nothings = {
        kind: _named(drawn.select(partial(_is_of, kind)), extra, hedger, temperature)
        for kind in KINDS
    }
    nothings["all drawings"] = _named(drawn, extra, hedger, temperature)
    others = {"drawings": drawn, "trash": of("trashnet6")}
    ordinary = found.select(lambda sample: sample.collection == MIXED and sample.manner == "fit")
    scores = compare_scores(of(KNOWN_SET), others, ordinary, extra, hedger)
    return CardFigures(temperature, hedger.thresholds, sets, int8_sets, nothings, scores)


def _int8_sets(
    files: Sequence[Photo], found: Features, folder: Path, manifest: ModelManifest
) -> dict[str, Evaluation]:
    """Evaluate the INT8 model, with the original's thresholds, on the sets of known classes."""
    model = folder.parent / "int8.onnx"
    write_int8_model(building.weights_file(), model)
    engine, hedger = OnnxEngine(model, manifest), Hedger(manifest, tuple(manifest.labels))
    prepare = Preprocessor(manifest.image_input, LimitSettings().of_images)
    sets = {}
    for name in (KNOWN_SET, PUBLIC, OPEN):
        chosen = [
            (photo, truth_of(sample, manifest))
            for photo, sample in zip(files, found.samples, strict=True)
            if (sample.collection, sample.manner) == (name, "judge") and sample.names
        ]
        outputs = [engine.run(prepare(photo.data).tensor[np.newaxis])[0] for photo, _ in chosen]
        shares_NK = probabilities(np.stack(outputs), manifest.output, manifest.temperature)
        sets[name] = measure(shares_NK, [truth for _, truth in chosen], hedger)
    return sets


def _is_of(group: str, sample: Sample) -> bool:
    return sample.group == group


def _named(found: Features, extra: ExtraClasses, hedger: Hedger, temperature: float) -> Nothing:
    shares_NK = probabilities(found.outputs(extra), building.OUTPUT_SPEC, temperature)
    answers = best_answers(shares_NK, hedger)
    named = [
        names[level]
        for names, level in zip(answers.names, answers.levels(hedger.thresholds), strict=True)
        if level != ABSTAINED
    ]
    below = [name for name in named if name not in hedger.hierarchy.widest]
    return Nothing(len(answers.names), len(named), len(below))


def _with_indices_named(found: Features, manifest: ModelManifest) -> Features:
    """Name the samples of ``public``, whose list gives the index of the label."""
    samples = [
        Sample(one.collection, one.group, one.manner, (manifest.labels[int(one.group)],))
        if one.collection == PUBLIC
        else one
        for one in found.samples
    ]
    return Features(samples, found.features_NF, found.logits_NK)


def _golden(folder: Path, manifest: ModelManifest) -> tuple[GoldenSample, ...]:
    """Compute the golden samples on the project's own drawings."""
    engine = OnnxEngine(folder / "model.onnx", manifest)
    prepare = Preprocessor(manifest.image_input, LimitSettings().of_images)
    samples = []
    for file in sorted(GOLDEN.iterdir()):
        output_NK = engine.run(prepare(file.read_bytes()).tensor[np.newaxis])
        shares_K = probabilities(output_NK, manifest.output, manifest.temperature)[0]
        predictions = tuple(
            GoldenPrediction(index=int(index), score=round(float(shares_K[index]), 4))
            for index in top_k(shares_K, GOLDEN_PREDICTIONS)
        )
        samples.append(GoldenSample(file=file.name, predictions=predictions))
    return tuple(samples)


@contextmanager
def _version(card: building.Card) -> Iterator[tuple[Path, ModelManifest]]:
    """Build the model in a temporary folder; yield the folder and the manifest."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / building.NAME / str(building.VERSION)
        folder.mkdir(parents=True)
        building.write_model(building.weights_file(), folder / "model.onnx")
        yield folder, building.make_manifest(folder, card)


def _card(temperature: float, thresholds: tuple[float, ...]) -> building.Card:
    """Build a card without figures, to evaluate with."""
    none = Calibration(precision=0.5, dataset="none", photos=1)
    return building.Card(
        temperature=temperature,
        abstain_below=thresholds[0],
        group_thresholds=thresholds[1:],
        calibration=none,
        accuracy=(),
        int8_calibration=none,
        int8_accuracy=(),
        golden=(),
    )


def _unfitted() -> building.Card:
    return _card(1.0, (0.0, 0.0, 0.0))


def _progress(done: int) -> None:
    if sys.stderr.isatty() or done % 2000 == 0:
        print(f"\rphotos: {done} of about {count_expected()}", end="", file=sys.stderr)


if __name__ == "__main__":
    main()
