"""An optimised version: as accurate as reported, published atomically."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from PIL import Image

from schemas.models import ModelManifest
from service.core.imaging.image_limits import ImageLimits
from service.modeltools.optimising.optimising import REPORT_FILE, optimise
from service.modeltools.optimising.progress import NotOptimised
from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.models.pictures import blobs
from tests.support.models.tiny_model import write_multi_label

LIMITS = ImageLimits(50_000_000, 1000, 2**28)
GOLDEN = BUNDLED_MODELS / "everyday/1/golden"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A copy of the bundled model's version, to which tests add versions."""
    folder = tmp_path / "models/everyday/1"
    shutil.copytree(BUNDLED_MODELS / "everyday/1", folder)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden pictures, turned and cropped, each in a folder called like its label."""
    folder = tmp_path_factory.mktemp("images")
    dice = random.Random(1)  # noqa: S311 - a sample, not a secret
    for file in sorted(GOLDEN.iterdir()):
        place = folder / file.stem.replace("-", "_").upper()
        place.mkdir()
        with Image.open(file) as picture:
            for number in range(20):
                angle, edge = dice.uniform(-15, 15), dice.randint(0, 30)
                turned = picture.convert("RGB").rotate(angle, fillcolor=(200, 200, 200))
                box = (edge, edge, turned.width - dice.randint(0, 30), turned.height - edge)
                turned.crop(box).save(place / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture either")
    return folder


def versions(folder: Path) -> set[str]:
    return {path.name for path in folder.parent.iterdir()}


def test_optimised_version_is_smaller_and_agrees(version: Path, images: Path) -> None:
    told: list[str] = []
    made = optimise(
        version,
        images,
        allowed_points=5,
        min_agreement=90,
        limits=LIMITS,
        keep_slower=True,
        progress=lambda what, *_: told.append(what),
    )
    assert made.folder == version.parent / "2"
    assert versions(version) == {"1", "2"}
    both = made.comparison
    assert (both.calibration_images, both.judging_images) == (20, 40)
    assert both.labelled_images == 40
    assert both.optimised.bytes < both.original.bytes / 3
    assert both.original.top1 is not None
    assert both.optimised.top1 is not None
    assert both.lost_points == pytest.approx(100 * (both.original.top1 - both.optimised.top1))
    assert both.agreement > 0.9
    assert both.sure_images >= 20
    report = json.loads((made.folder / REPORT_FILE).read_text())
    assert (report["from_version"], report["weight_bits"]) == (1, 7)
    assert report["agreement"] == both.agreement
    assert set(told) == {"reading images", "calibrating", "quantising", "choosing", "comparing"}
    tried = [(each["calibration"], each["float_ends"]) for each in report["tried"]]
    methods = ("minmax", "entropy", "percentile")
    assert tried == [(method, ends) for ends in (False, True) for method in methods]
    assert (report["calibration"], report["float_ends"]) in tried
    assert report["reason"] == made.choice.reason
    assert {path.suffix for path in made.folder.iterdir()} == {".json", ".onnx", ""}


def test_optimised_manifest_describes_the_new_version(version: Path, images: Path) -> None:
    made = optimise(
        version, images, allowed_points=5, min_agreement=90, limits=LIMITS, keep_slower=True
    )
    before = ModelManifest.model_validate_json((version / "manifest.json").read_bytes())
    after = ModelManifest.model_validate_json((made.folder / "manifest.json").read_bytes())
    assert (after.name, after.version) == ("everyday", 2)
    assert after.sha256 != before.sha256
    assert after.source.startswith("version 1, quantised to INT8")
    assert [sample.file for sample in after.golden] == [sample.file for sample in before.golden]
    (card,) = after.accuracy
    assert card.photos == 40
    assert card.top1 == pytest.approx(made.comparison.optimised.top1, abs=1e-4)


@pytest.mark.parametrize(
    ("allowed_points", "min_agreement", "message"),
    [
        (-1.0, 0, r"it would lose -?\d+\.\d\d points of accuracy on 40 images, more than the -1"),
        (100.0, 100.1, r"the same on \d+\.\d\d% of the \d+ images .* less than the 100\.1% asked"),
    ],
)
def test_version_losing_too_much_is_not_written(
    version: Path, images: Path, allowed_points: float, min_agreement: float, message: str
) -> None:
    told: list[tuple[str, int, int]] = []
    with pytest.raises(NotOptimised, match=message):
        optimise(
            version,
            images,
            allowed_points=allowed_points,
            min_agreement=min_agreement,
            limits=LIMITS,
            progress=lambda *what: told.append(what),
        )
    assert versions(version) == {"1"}
    assert told.count(("calibrating", 1, 20)) == 1, "one pass is enough for all methods"
    assert told.count(("comparing", 1, 40)) == 2, "weights of 7 bits, then of 8"


def test_too_few_confident_answers_are_refused(version: Path, tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(40):
        blobs((64, 64), seed=number).save(folder / f"{number}.png")
    with pytest.raises(NotOptimised, match=r"sure about \d+ of 27 images, too few"):
        optimise(version, folder, allowed_points=1, min_agreement=95, limits=LIMITS)
    assert versions(version) == {"1"}


def test_optimised_version_becomes_the_newest(version: Path, images: Path) -> None:
    (version.parent / "7").mkdir()
    made = optimise(
        version, images, allowed_points=5, min_agreement=90, limits=LIMITS, keep_slower=True
    )
    assert made.folder == version.parent / "8"
    assert json.loads((made.folder / REPORT_FILE).read_text())["from_version"] == 1


def test_quantised_version_is_not_optimised_again(version: Path, images: Path) -> None:
    made = optimise(
        version, images, allowed_points=5, min_agreement=90, limits=LIMITS, keep_slower=True
    )
    with pytest.raises(NotOptimised, match="quantised already"):
        optimise(
            made.folder, images, allowed_points=5, min_agreement=90, limits=LIMITS, keep_slower=True
        )
    assert versions(version) == {"1", "2"}


def test_multi_label_model_cannot_be_optimised(tmp_path: Path, images: Path) -> None:
    folder = write_multi_label(tmp_path / "models", {})
    with pytest.raises(NotOptimised, match="a multi-label model"):
        optimise(folder, images, allowed_points=100, min_agreement=0, limits=LIMITS)
    assert versions(folder) == {"1"}


def test_too_few_labelled_images_are_refused(version: Path, tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for file in GOLDEN.iterdir():
        shutil.copy(file, folder)
    with pytest.raises(NotOptimised, match="3 images can be read"):
        optimise(
            version, folder, allowed_points=5, min_agreement=90, limits=LIMITS, keep_slower=True
        )
    assert versions(version) == {"1"}
