"""Golden photos: a model with a wrong result for one is not added."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.core.repository.repository import Repository
from service.modeltools.importing.golden_photos import read_photos
from service.modeltools.importing.graph_facts import CannotImport
from tests.support.models.pictures import BLUE, GREEN, RED, plain
from tests.support.models.tiny_model import LABELS, multi_label_graph
from tests.support.modeltools.import_kit import bring

YELLOW = (255, 255, 0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with ``red.png`` and the like."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE), ("yellow", YELLOW)):
        (folder / f"{name}.png").write_bytes(plain(colour))
    return folder


def test_correct_golden_answers_are_stored(tmp_path: Path, labels: Path, photos: Path) -> None:
    golden = (f"{photos}/red.png=red", f"{photos}/blue.png=BLUE")
    made = bring(tmp_path, labels, golden=golden)
    assert [sample.predictions[0].index for sample in made.manifest.golden] == [0, 2]
    assert (made.folder / "golden/2-blue.png").read_bytes() == plain(BLUE)


def test_wrong_golden_answer_is_named_and_adds_nothing(
    tmp_path: Path, labels: Path, photos: Path
) -> None:
    golden = (f"{photos}/red.png=red", f"{photos}/green.png=blue")
    says = r"green\.png: the model answers 'green' \(100\.0%\), not 'blue' \(0\.0%\) as expected"
    with pytest.raises(CannotImport, match=says):
        bring(tmp_path, labels, golden=golden)
    assert list((tmp_path / "models").iterdir()) == []


def test_wrong_preprocessing_is_detected_by_golden_photos(
    tmp_path: Path, labels: Path, photos: Path
) -> None:
    """With BGR the model classifies a red photo as blue."""
    with pytest.raises(CannotImport, match="answers 'blue'"):
        bring(
            tmp_path,
            labels,
            like="caffe",
            golden=(f"{photos}/red.png=red",),
        )


@pytest.mark.parametrize(
    ("expected", "is_right"), [("red", True), ("green", True), ("blue", False)]
)
def test_expected_label_of_a_multi_label_photo_must_be_present(
    tmp_path: Path, labels: Path, photos: Path, expected: str, is_right: bool
) -> None:
    golden = (f"{photos}/yellow.png={expected}",)
    if is_right:
        assert bring(tmp_path, labels, multi_label_graph(), golden=golden).manifest.golden
    else:
        with pytest.raises(CannotImport, match=r"not 'blue' \(0\.7%\)"):
            bring(tmp_path, labels, multi_label_graph(), golden=golden)


def test_file_name_with_an_equals_sign_is_recognised(photos: Path) -> None:
    for name in ("a=b.png", "red.png=odd", "=red"):
        (photos / name).write_bytes(plain(GREEN))
    found = read_photos(
        [f"{photos}/a=b.png", f"{photos}/red.png=odd", f"{photos}/a=b.png=green", f"{photos}/=red"],
        LABELS,
        "logits",
    )
    assert [photo.label for photo in found] == [None, None, "green", None]
    assert [photo.file.name for photo in found] == ["a=b.png", "red.png=odd", "a=b.png", "=red"]


def test_labels_are_compared_ignoring_case_and_punctuation(photos: Path) -> None:
    found = read_photos([f"{photos}/red.png=stop-SIGN"], ["go", "Stop_sign"], "logits")
    assert found[0].label == "Stop_sign"


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("rde", "'rde' is not a label of the model; did you mean 'red'"),
        ("gree", "did you mean 'green'"),
        ("zebra", r"'zebra' is not a label of the model$"),
        ("", r"'' is not a label of the model$"),
    ],
)
def test_unknown_label_is_named_with_a_suggestion(photos: Path, label: str, says: str) -> None:
    with pytest.raises(CannotImport, match=says):
        read_photos([f"{photos}/red.png={label}"], LABELS, "logits")


def test_photo_with_two_labels_is_refused(photos: Path) -> None:
    (photos / "copy.png").write_bytes(plain(RED))
    for other in ("red.png", "copy.png"):
        given = [f"{photos}/red.png=red", f"{photos}/{other}=green"]
        with pytest.raises(CannotImport, match="same photo is given as 'red' and as 'green'"):
            read_photos(given, LABELS, "logits")
    # A multi-label model may find both in it.
    assert len(read_photos(given, LABELS, "sigmoid")) == 2
    assert len(read_photos([given[0], f"{photos}/copy.png=RED"], LABELS, "logits")) == 2


def test_missing_photo_is_named(photos: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_photos([f"{photos}/none.png=red"], LABELS, "logits")


def test_changed_answers_are_compared_with_the_previous_version(
    tmp_path: Path, labels: Path, photos: Path
) -> None:
    golden = (f"{photos}/red.png", f"{photos}/green.png=green")
    first = bring(tmp_path, labels, golden=golden)
    assert not any("before (version" in sentence for sentence in first.unsure)
    labels.write_text("rouge\ngreen\nblue\n")
    second = bring(tmp_path, labels, golden=golden)
    told = [sentence for sentence in second.unsure if "before (version" in sentence]
    assert told == ["red.png: now 'rouge' 100.0%, before (version 1) 'red' 100.0%"]
    Repository(tmp_path / "models").change_policy(
        "colours", lambda policy: policy.model_copy(update={"default": 1})
    )
    third = bring(tmp_path, labels, golden=golden)
    assert any("before (version 1) 'red'" in sentence for sentence in third.unsure)
