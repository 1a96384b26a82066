"""A dry run: results of each preset, and no changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.manifest.model_input import Colour
from service.modeltools.importing.dry_run import DryRun, dry_run, table
from service.modeltools.importing.graph_facts import CannotImport
from service.modeltools.importing.importing import ImportOptions
from service.modeltools.importing.preparation import Overrides
from service.modeltools.importing.presets import PRESETS
from tests.support.models.pictures import GREEN, RED, plain
from tests.support.models.tiny_model import colour_graph, image_limits
from tests.unit.modeltools.importing.test_importing import turned


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "red.png"
    file.write_bytes(plain(RED))
    return file


def tried(
    tmp_path: Path, labels: Path, *photos: str, golden: tuple[str, ...] = (), **said: object
) -> DryRun:
    model = tmp_path / "some.onnx"
    if not model.exists():
        model.write_bytes(colour_graph().SerializeToString())
    wanted = ImportOptions(name="colours", labels=labels, golden=golden, **said)  # type: ignore[arg-type]
    return dry_run(model, wanted, photos, image_limits())


def test_every_preset_is_tried_on_every_photo(tmp_path: Path, labels: Path, photo: Path) -> None:
    other = tmp_path / "green.png"
    other.write_bytes(plain(GREEN))
    made = tried(tmp_path, labels, str(photo), golden=(f"{other}=green",))
    assert [trial.preparation for trial in made.trials] == [*PRESETS, *PRESETS]
    assert not any(trial.is_asked for trial in made.trials)
    best = {trial.preparation: trial.best[0][0] for trial in made.trials[len(PRESETS) :]}
    assert (best["imagenet"], best["caffe"]) == ("red", "blue")
    assert {trial.is_right for trial in made.trials[: len(PRESETS)]} == {True}
    assert {trial.is_right for trial in made.trials[len(PRESETS) :]} == {None}
    assert {path.name for path in tmp_path.iterdir()} == {
        *("some.onnx", "labels.txt", "red.png", "green.png")
    }


def test_requested_preset_is_marked(tmp_path: Path, labels: Path, photo: Path) -> None:
    made = tried(tmp_path, labels, f"{photo}=red", like="0-1")
    assert [trial.preparation for trial in made.trials if trial.is_asked] == ["0-1"]
    *_, last = made.trials
    assert (last.preparation, last.best[0][0], last.is_right) == ("0-1, BGR", "blue", False)


def test_overridden_pixels_add_their_own_trials(tmp_path: Path, labels: Path, photo: Path) -> None:
    made = tried(tmp_path, labels, str(photo), pixels=Overrides(scale="1/255", colour=Colour.BGR))
    *_, asked, other = made.trials
    assert (asked.preparation, asked.is_asked, asked.best[0][0]) == ("as asked", True, "blue")
    assert (other.preparation, other.best[0][0]) == ("as asked, RGB", "red")
    assert len(made.trials) == len(PRESETS) + 2


def test_colour_override_applies_to_every_preset(tmp_path: Path, labels: Path, photo: Path) -> None:
    made = tried(tmp_path, labels, str(photo), pixels=Overrides(colour=Colour.BGR))
    assert {trial.best[0][0] for trial in made.trials} == {"blue"}
    assert len(made.trials) == len(PRESETS)


def test_identity_pixels_vary_only_the_colour_order(
    tmp_path: Path, labels: Path, photo: Path
) -> None:
    (tmp_path / "some.onnx").write_bytes(turned().SerializeToString())
    made = tried(tmp_path, labels, str(photo), size=48)
    assert [(trial.preparation, trial.best[0][0]) for trial in made.trials] == [
        ("none", "red"),
        ("none, BGR", "blue"),
    ]


def test_table_has_one_line_per_trial(tmp_path: Path, labels: Path, photo: Path) -> None:
    lines = list(table(tried(tmp_path, labels, f"{photo}=red", like="0-1").trials))
    assert len(lines) == 1 + len(PRESETS) + 1
    assert lines[0].split() == ["photo", "preset", "best", "answers"]
    (marked,) = [line for line in lines if line.startswith("*")]
    assert marked.split()[1:] == [
        *("red.png", "0-1", "right", "red", "100.0%,", "green", "0.0%,", "blue", "0.0%")
    ]


@pytest.mark.parametrize(
    ("photos", "said", "says"),
    [
        ([], {}, "give some with --try PHOTO"),
        (["text.jpg"], {}, r"text\.jpg: Not a JPEG"),
        (["red.png=pink"], {}, "'pink' is not a label"),
        (["red.png"], {"like": "torch7"}, "--like torch7 is not known"),
        (["red.png"], {"output": "scores"}, "there is no output 'scores'"),
        (["red.png"], {"name": "../up"}, "the manifest would be invalid: name"),
    ],
)
def test_invalid_dry_run_is_refused_with_its_reason(
    tmp_path: Path,
    labels: Path,
    photo: Path,
    photos: list[str],
    said: dict[str, object],
    says: str,
) -> None:
    (photo.parent / "text.jpg").write_bytes(b"no photo")
    (tmp_path / "some.onnx").write_bytes(colour_graph().SerializeToString())
    wanted = ImportOptions(**{"name": "colours", "labels": labels, **said})  # type: ignore[arg-type]
    given = tuple(f"{photo.parent}/{name}" for name in photos)
    with pytest.raises(CannotImport, match=says):
        dry_run(tmp_path / "some.onnx", wanted, given, image_limits())
