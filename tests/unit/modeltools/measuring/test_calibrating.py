"""A calibrated version: right thresholds, published atomically."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.operator_error import OperatorError
from service.core.repository.repository import ModelRefused, Repository
from service.core.repository.version_files import read_manifest
from service.modeltools.measuring.calibrating import Calibrated, calibrate
from service.modeltools.measuring.fitting import CannotFit
from service.modeltools.measuring.running import NothingToMeasure
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import image_limits, write_model, write_multi_label
from tests.support.modeltools.evaluation_kit import colour_pictures
from tests.support.modeltools.import_kit import check
from tests.unit.modeltools.measuring.test_running import shares_graph

COUNT = 400


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images for which the model is overconfident by a factor of two."""
    return colour_pictures(tmp_path_factory.mktemp("pictures") / "photos", COUNT)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", abstain_below=0.0)


def calibrated(
    version: Path,
    photos: Path,
    *foreign: Path,
    precision: float = 0.9,
    dry_run: bool = False,
    check: Callable[[Path], object] = check,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    notice: Callable[[str], None] = lambda _: None,
) -> Calibrated:
    return calibrate(
        version,
        photos,
        foreign,
        precision=precision,
        limits=image_limits(),
        check=check,
        dry_run=dry_run,
        progress=progress,
        notice=notice,
    )


def refused(
    version: Path, photos: Path, error: type[OperatorError], message: str, *foreign: Path
) -> None:
    """Check for a one-line error, and that nothing was published."""
    before = everything(version.parent.parent)
    with pytest.raises(error, match=message) as caught:
        calibrated(version, photos, *foreign)
    assert "\n" not in str(caught.value)
    assert everything(version.parent.parent) == before


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_overconfident_model_becomes_calibrated(version: Path, photos: Path) -> None:
    made = calibrated(version, photos)
    assert made.temperature == pytest.approx(2, rel=0.25)
    before, after = made.before, made.after
    assert before.expected_calibration_error is not None
    assert after.expected_calibration_error is not None
    assert after.expected_calibration_error < before.expected_calibration_error
    assert (after.negative_log_likelihood or 9) < (before.negative_log_likelihood or 0) - 0.05
    assert before.answered.value == 1
    assert 0.3 < (after.answered.value or 0) < 0.9
    assert (after.precision.value or 0) > (before.precision.value or 0) + 0.1


def test_calibrated_version_records_how_it_was_calibrated(version: Path, photos: Path) -> None:
    before = (version / "manifest.json").read_bytes()
    made = calibrated(version, photos)
    assert (version / "manifest.json").read_bytes() == before
    assert made.folder == version.parent / "2"
    manifest = read_manifest(made.folder)
    assert manifest.temperature == made.temperature
    assert (manifest.abstain_below, *manifest.group_thresholds) == made.thresholds
    how = manifest.calibration
    assert how is not None
    assert (how.precision, how.dataset, how.photos) == (0.9, "photos", COUNT // 2)
    assert how.answered == round(made.after.answered.value or 0, 4)
    assert how.right == round(made.after.precision.value or 0, 4)
    assert how.notes == "fitted on version 1 with 200 other photos"
    assert made.after.images == made.before.images == COUNT // 2


def test_calibration_keeps_everything_else_of_the_version(tmp_path: Path, photos: Path) -> None:
    card = {"dataset": "d", "split": "test", "photos": 9, "top1": 0.5}
    golden = [
        {
            "file": "red.png",
            "predictions": [{"index": 0, "score": 0.9999}, {"index": 2, "score": 0.0}],
        }
    ]
    version = write_model(
        tmp_path / "models",
        labels="labels.txt",
        accuracy=[card | {"expected_calibration_error": 0.1}],
        golden=golden,
        synonyms={"red": ["crimson"]},
    )
    (version / "labels.txt").write_text("red\ngreen\nblue\n")
    (version / "golden").mkdir()
    (version / "golden/red.png").write_bytes(plain(RED))
    (version / "README.md").write_text("about")
    made = calibrated(version, photos)
    assert made.folder
    assert everything(made.folder) == everything(version)
    assert (made.folder / "README.md").read_text() == "about"
    assert (made.folder / "model.onnx").stat().st_ino == (version / "model.onnx").stat().st_ino
    old, new = read_manifest(version), read_manifest(made.folder)
    # Logits of 10, 0, 0 at the new temperature.
    share = 1 / (1 + 2 * math.exp(-10 / made.temperature))
    (sample,) = new.golden
    assert [one.index for one in sample.predictions] == [0, 2]
    assert sample.predictions[0].score == pytest.approx(share, abs=1e-4)
    assert sample.predictions[1].score == pytest.approx((1 - share) / 2, abs=1e-4)
    # The error on that card was of another temperature.
    assert new.accuracy[0].expected_calibration_error is None
    assert new.accuracy[0].top1 == 0.5
    changed = {"version", "temperature", "abstain_below", "calibration", "accuracy", "golden"}
    assert new.model_dump(exclude=changed) == old.model_dump(exclude=changed)


def test_linked_model_file_is_copied(version: Path, photos: Path, tmp_path: Path) -> None:
    shutil.move(version / "model.onnx", tmp_path / "elsewhere.onnx")
    (version / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    made = calibrated(version, photos)
    assert made.folder
    assert not (made.folder / "model.onnx").is_symlink()
    check(made.folder)


def test_calibration_split_is_deterministic(version: Path, photos: Path) -> None:
    first = calibrated(version, photos, dry_run=True)
    assert first.folder is None
    assert first == calibrated(version, photos, dry_run=True)
    assert [path.name for path in version.parent.iterdir()] == ["1"]


def test_every_class_is_in_both_halves(version: Path, photos: Path) -> None:
    made = calibrated(version, photos, dry_run=True)
    folders = {folder.name: len(list(folder.iterdir())) for folder in photos.iterdir()}
    for found in made.after.classes:
        assert abs(found.right.of - folders[found.name] / 2) <= 0.5


def test_foreign_photos_raise_the_threshold(version: Path, photos: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    colour_pictures(foreign, 60, most=7)
    alone = calibrated(version, photos, dry_run=True)
    made = calibrated(version, photos, foreign)
    assert made.temperature == alone.temperature
    assert made.thresholds[0] > alone.thresholds[0]
    assert made.fitted_on == (COUNT + 60) // 2
    assert made.folder
    how = read_manifest(made.folder).calibration
    assert how
    assert how.photos == COUNT // 2
    assert "30 foreign photos got a name, which counts as wrong" in how.notes


def test_groups_get_their_own_thresholds(tmp_path: Path, photos: Path) -> None:
    groups = {"red": "warm", "green": "cold", "blue": "cold"}
    version = write_model(tmp_path / "models", groups=groups)
    made = calibrated(version, photos)
    assert len(made.thresholds) == 2
    assert made.after.levels[1].answered.count > 0
    assert made.folder
    assert len(read_manifest(made.folder).group_thresholds) == 1


def test_deep_hierarchy_stores_at_most_eight_group_thresholds(tmp_path: Path, photos: Path) -> None:
    chain = {"red": "g1", "green": "g1"} | {f"g{n}": f"g{n + 1}" for n in range(1, 12)}
    version = write_model(tmp_path / "models", groups=chain)
    made = calibrated(version, photos)
    assert made.folder
    assert len(made.thresholds) == 13
    assert len(read_manifest(made.folder).group_thresholds) == 8


def test_probability_model_gets_thresholds_only(tmp_path: Path, photos: Path) -> None:
    output = {"name": "logits", "kind": "probabilities"}
    version = write_model(tmp_path / "models", shares_graph(), output=output)
    made = calibrated(version, photos, precision=0.8)
    assert made.temperature == 1
    assert made.folder
    manifest = read_manifest(made.folder)
    assert manifest.temperature == 1
    assert manifest.abstain_below == made.thresholds[0] > 0.3


def test_calibrating_a_multi_label_model_is_refused(tmp_path: Path, photos: Path) -> None:
    version = write_multi_label(tmp_path / "models", {})
    refused(version, photos, CannotFit, "gives each label a score of its own")


def test_unreadable_photos_are_counted_and_skipped(
    version: Path, photos: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(photos, mixed)
    (mixed / "red/broken.jpg").write_bytes(b"no picture")
    told: list[str] = []
    made = calibrated(version, mixed, dry_run=True, notice=told.append)
    assert len(told) == 1
    assert "broken.jpg" in told[0]
    assert made.after.images == COUNT // 2


def test_photos_of_a_single_class_are_refused(version: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "red", tmp_path / "one/red")
    refused(version, tmp_path / "one", CannotFit, "all images to fit on show 'red'")


def test_too_few_photos_are_refused(version: Path, tmp_path: Path) -> None:
    few = colour_pictures(tmp_path / "few", 98)
    refused(version, few, CannotFit, "49 images to fit on name a label")


def test_photos_without_known_labels_are_refused(version: Path, tmp_path: Path) -> None:
    (tmp_path / "photos/teapot").mkdir(parents=True)
    (tmp_path / "photos/teapot/a.png").write_bytes(plain(RED))
    refused(version, tmp_path / "photos", NothingToMeasure, "that the model knows")


def test_photos_that_are_all_unreadable_are_refused(version: Path, tmp_path: Path) -> None:
    (tmp_path / "photos/red").mkdir(parents=True)
    (tmp_path / "photos/red/a.png").write_bytes(b"no picture")
    refused(version, tmp_path / "photos", NothingToMeasure, "none of the images")


def test_an_empty_foreign_folder_is_refused(version: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(version, photos, NothingToMeasure, "there are no images in", tmp_path / "none")


@pytest.mark.parametrize("precision", [0, 1, 95])
def test_precision_out_of_range_is_refused(version: Path, tmp_path: Path, precision: float) -> None:
    with pytest.raises(CannotFit, match="cannot be promised: above 0 and below 1"):
        calibrated(version, tmp_path, precision=precision)


def test_unreachable_precision_is_refused(version: Path, tmp_path: Path) -> None:
    # Folders are random, independent of the model's answers.
    photos = colour_pictures(tmp_path / "photos", 200, temperature=1000, most=8)
    refused(version, photos, CannotFit, r"a precision of 90\.0% .* give a lower --precision")


def test_interrupt_while_running_changes_nothing(version: Path, photos: Path) -> None:
    def interrupt(_what: str, done: int, _total: int) -> None:
        if done == 100:
            raise KeyboardInterrupt

    before = everything(version.parent.parent)
    with pytest.raises(KeyboardInterrupt):
        calibrated(version, photos, progress=interrupt)
    assert everything(version.parent.parent) == before


def test_interrupt_while_writing_changes_nothing(version: Path, photos: Path) -> None:
    def interrupt(folder: Path) -> None:
        assert (folder / "manifest.json").exists()
        raise KeyboardInterrupt

    before = everything(version.parent.parent)
    with pytest.raises(KeyboardInterrupt):
        calibrated(version, photos, check=interrupt)
    assert everything(version.parent.parent) == before


def test_unservable_version_is_not_published(version: Path, photos: Path) -> None:
    def refuse(folder: Path) -> None:
        raise ModelRefused(f"{folder}: no")

    with pytest.raises(ModelRefused, match="no"):
        calibrated(version, photos, check=refuse)
    assert list(Repository(version.parent.parent).versions("colours")) == [1]


def test_full_disk_is_reported_and_changes_nothing(small_disk: Path, photos: Path) -> None:
    version = write_model(small_disk)
    (version / "extra.bin").write_bytes(b"\0" * 180_000)
    refused(version, photos, ModelRefused, "is full; nothing was changed")
