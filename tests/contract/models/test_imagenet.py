"""The default model has the properties stated in its card, and classifies common photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pytest

from schemas.models import MODEL_FILE, ModelManifest
from service.core.engine.onnx_engine import OnnxEngine
from service.core.imaging.hedging import Hedger
from service.core.imaging.postprocessing import probabilities
from service.core.imaging.preprocessing import Preprocessor
from service.modeltools.imagenet import building
from service.modeltools.measuring.evaluation import Evaluation
from service.modeltools.measuring.measuring import measure
from service.modeltools.measuring.truth import FOREIGN, Truth
from service.modeltools.sources.built_in import put
from service.settings import LimitSettings
from tests.support.repository import SHARED
from tools.imagenet.photos import OPEN, PUBLIC, Photo, drawn, photos, read_accepted

DRAWINGS_OF_A_KIND = 6
Judge = Callable[[Iterable[Photo]], Evaluation]


@dataclass(frozen=True, slots=True)
class Built:
    """The built model."""

    manifest: ModelManifest
    engine: OnnxEngine


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = put("imagenet", tmp_path_factory.mktemp("models"), lambda _: None, lambda _: None)
    manifest = ModelManifest.model_validate_json((folder / "manifest.json").read_bytes())
    return Built(manifest, OnnxEngine(folder / MODEL_FILE, manifest))


@pytest.fixture(scope="module")
def judge(built: Built) -> Judge:
    manifest = built.manifest
    prepare = Preprocessor(manifest.image_input, LimitSettings().of_images)
    hedger = Hedger(manifest, tuple(manifest.labels))

    def of(chosen: Iterable[Photo]) -> Evaluation:
        truths, outputs = [], []
        for photo in chosen:
            names = photo.names
            if photo.collection == PUBLIC:
                names = (manifest.labels[int(photo.group)],)
            truth = Truth.of(names, tuple(manifest.labels), manifest.groups) if names else FOREIGN
            truths.append(truth)
            outputs.append(built.engine.run(prepare(photo.data).tensor[np.newaxis])[0])
        shares_NK = probabilities(np.stack(outputs), manifest.output, manifest.temperature)
        return measure(shares_NK, truths, hedger)

    return of


@pytest.fixture(scope="module")
def files() -> list[Photo]:
    if not (SHARED / "training/caltech96/test.tar").exists():
        pytest.skip("photos and data sets lie beside the checkout on some machines only")
    chosen = photos(SHARED, {"caltech96", PUBLIC, OPEN})
    return [photo for photo in chosen if photo.manner == "judge"]


def value(evaluation: Evaluation, level: int) -> float:
    found = evaluation.levels[level].top1.value
    assert found is not None
    return found


@pytest.mark.parametrize("name", [PUBLIC, OPEN])
def test_typical_first_photos_are_classified_correctly(
    judge: Judge, files: list[Photo], name: str
) -> None:
    found = judge(photo for photo in files if photo.collection == name and _is_judged(photo))
    assert found.top1.value is not None
    assert found.top1.value >= 0.85
    assert value(found, 1) >= 0.95
    assert found.precision.value == 1


def _is_judged(photo: Photo) -> bool:
    return photo.collection == PUBLIC or bool(photo.names)


@pytest.mark.slow
def test_card_matches_the_figures_measured_on_caltech(judge: Judge, files: list[Photo]) -> None:
    found = judge(photo for photo in files if photo.collection == "caltech96" and photo.names)
    assert found.precision.value is not None
    assert found.answered.value is not None
    assert found.precision.value >= 0.95
    assert found.answered.value >= 0.85
    card = building.read_card()
    # Another processor rounds differently: the result of a photo or two may change.
    assert card.accuracy[0].top1 == pytest.approx(found.top1.value, abs=0.005)
    assert card.calibration.answered == pytest.approx(found.answered.value, abs=0.005)
    assert card.calibration.right == pytest.approx(found.precision.value, abs=0.005)
    assert card.calibration.photos == found.images


def test_at_most_five_percent_of_meaningless_drawings_are_answered(judge: Judge) -> None:
    seen: dict[str, int] = {}
    chosen = []
    for photo in drawn("judge", DRAWINGS_OF_A_KIND):
        seen[photo.group] = seen.get(photo.group, 0) + 1
        chosen.append(photo)
    assert set(seen.values()) == {DRAWINGS_OF_A_KIND}
    found = judge(chosen)
    assert found.foreign is not None
    assert found.foreign.answered.count <= len(chosen) * 0.05


def test_accepted_names_are_known_to_the_model(built: Built) -> None:
    known = {*built.manifest.labels, *built.manifest.groups.values()}
    assert {name for names in read_accepted().values() for name in names} <= known


def test_readme_matches_the_card() -> None:
    readme, card = building.read_readme().decode(), building.read_card()
    assert f"{card.accuracy[0].top1:.1%} of {card.accuracy[0].photos}" in readme
    assert f"Temperature {card.temperature:g}" in readme
