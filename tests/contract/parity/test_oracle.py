"""Real models give the same results as a reference that shares no code with the server."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from service.core.imaging.answer import Prediction
from service.core.imaging.resizers import Resizer
from tests.support.models.calls import ANYONE
from tests.support.models.pictures import encoded, plain
from tests.support.models.tiny_model import served
from tests.support.repository import MANIFESTS, NAMES, SHARED, assemble
from tests.support.resizers import RESIZERS

pytestmark = pytest.mark.skipif(
    not (SHARED / "oracle").is_dir(), reason="the shared data is not beside this checkout"
)
PHOTOS = {"public": SHARED / "photos" / "public", "open": SHARED / "photos" / "open"}


@dataclass(frozen=True)
class Oracle:
    """Reference answers for a set of photos, and tolerances of the server's.

    top1: least share of photos with the same best class. median, p95: how far the probability of
    the reference's best class may be off. Another filter is off by 0.1 in 5 % of the photos, a
    squashed photo by 0.6, swapped colours by 0.9. Quantised networks double every rounding.
    """

    model: str
    photos: str
    file: str
    top1: float = 0.95
    median: float = 0.01
    p95: float = 0.04


ORACLES = (
    Oracle("mobilenetv2-fp32", "public", "public_mobilenetv2-fp32.json"),
    Oracle("mobilenetv2-fp32", "open", "open_photos_mobilenetv2-fp32.json"),
    Oracle("mobilenetv2-12-int8", "public", "public_mobilenetv2-12-int8.json", p95=0.2),
    Oracle("mobilenetv2-uint8-nhwc", "public", "public_mobilenetv2-uint8-nhwc.json", p95=0.15),
    Oracle("squeezenet1.0-fp32", "public", "public_squeezenet1.0-fp32.json"),
)


def reference(oracle: Oracle) -> dict[str, dict[str, list[float]]]:
    """Per photo: ``top5`` (indices of the output) and ``prob``, best first."""
    images: dict[str, dict[str, list[float]]]
    images = json.loads((SHARED / "oracle" / oracle.file).read_text())["images"]
    return images


def ask(
    folder: Path, photos: dict[str, bytes], resizer: Resizer = RESIZERS[0]
) -> dict[str, list[Prediction]]:
    """A hundred predictions for every photo."""

    async def ask_all() -> dict[str, list[Prediction]]:
        async with served(folder, resizer=resizer) as model:
            deadline = time.monotonic() + 120
            return {
                name: (await model.classify(data, 100, deadline, ANYONE)).predictions
                for name, data in photos.items()
            }

    return asyncio.run(ask_all())


@functools.cache
def found(
    model: str, photos: str, folder: Path, resizer: Resizer = RESIZERS[0]
) -> dict[str, list[Prediction]]:
    files = (path for path in PHOTOS[photos].iterdir() if path.suffix.lower() != ".csv")
    photo_files = {path.name: path.read_bytes() for path in files}
    return ask(folder / model / "1", photo_files, resizer)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assemble(tmp_path_factory.mktemp("oracle"))


def test_every_manifest_has_its_model_file() -> None:
    assert set(NAMES) == {path.name for path in (SHARED / "models").iterdir() if path.is_dir()}
    assert len(NAMES) == len(list(MANIFESTS.iterdir())) == 6


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: f"{oracle.model}, {oracle.photos}")
def test_answers_match_the_reference_network(
    repository: Path, oracle: Oracle, resizer: Resizer
) -> None:
    expected = reference(oracle)
    answers = found(oracle.model, oracle.photos, repository, resizer)
    assert len(expected) >= 20
    same, differences = [], []
    for photo, wanted in expected.items():
        scores = {prediction.index: prediction.score for prediction in answers[photo]}
        best = answers[photo][0]
        # A quantised network has exact ties: any class as likely as the reference's best is
        # accepted.
        tied = {
            index
            for index, share in zip(wanted["top5"], wanted["prob"], strict=True)
            if share >= 0.98 * wanted["prob"][0]
        }
        same.append(best.index in tied)
        differences.append(abs(scores.get(int(wanted["top5"][0]), 0) - wanted["prob"][0]))
    share, median, p95 = np.mean(same), np.median(differences), np.percentile(differences, 95)
    stated = f"top-1 {share:.1%}, probability off by {median:.4f} (median), {p95:.4f} (95 %)"
    assert share >= oracle.top1, stated
    assert median <= oracle.median, stated
    assert p95 <= oracle.p95, stated


@pytest.mark.parametrize("resizer", RESIZERS)
@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: f"{oracle.model}, {oracle.photos}")
def test_top_five_classes_mostly_match_the_reference(
    repository: Path, oracle: Oracle, resizer: Resizer
) -> None:
    expected = reference(oracle)
    answers = found(oracle.model, oracle.photos, repository, resizer)
    shared = [
        len({prediction.index for prediction in answers[photo][:5]} & set(wanted["top5"])) / 5
        for photo, wanted in expected.items()
    ]
    assert np.mean(shared) >= 0.85, f"{np.mean(shared):.1%} of the five best"


def test_labels_match_their_indices(repository: Path) -> None:
    labels = (SHARED / "labels" / "imagenet_labels_1000.txt").read_text().splitlines()
    answers = found("mobilenetv2-fp32", "public", repository)
    for photo, predictions in answers.items():
        for prediction in predictions:
            assert prediction.label == labels[prediction.index], photo


def digit(number: int) -> bytes:
    """White on black, drawn with Pillow's own font."""
    image = Image.new("L", (56, 56))
    font = ImageFont.load_default(44)
    ImageDraw.Draw(image).text((28, 28), str(number), fill=255, font=font, anchor="mm")
    return encoded(image)


def test_drawn_digits_are_recognised(repository: Path) -> None:
    answers = ask(repository / "mnist-cntk" / "1", {str(n): digit(n) for n in range(10)})
    read = {name: predictions[0].label for name, predictions in answers.items()}
    right = sum(name == label for name, label in read.items())
    assert right >= 7, f"read {read}"


def test_weak_network_distinguishes_vehicles_and_animals(repository: Path) -> None:
    """There is no reference for the tutorial network on CIFAR-10, which is right on 64 %."""
    files = {
        "n02690373_airliner.JPEG": {"airplane"},
        "n03345487_fire_engine.JPEG": {"truck", "automobile"},
        "n04285008_sports_car.JPEG": {"automobile"},
        "n02099601_golden_retriever.JPEG": {"dog"},
        "n02123045_tabby.JPEG": {"cat"},
        "n01614925_bald_eagle.JPEG": {"bird"},
    }
    photos = {name: (PHOTOS["public"] / name).read_bytes() for name in files}
    answers = ask(repository / "cifar10-simplecnn" / "1", {**photos, "plain": plain()})
    read = {name: answers[name][0].label for name in files}
    assert sum(read[name] in labels for name, labels in files.items()) >= 3, f"saw {read}"
    for predictions in answers.values():
        assert len(predictions) == 10
        assert sum(prediction.score for prediction in predictions) == pytest.approx(1, abs=1e-4)
