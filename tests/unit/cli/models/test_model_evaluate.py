"""``potoo models evaluate`` and ``potoo models calibrate`` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.support.modeltools.evaluation_kit import colour_pictures
from tests.unit.cli.conftest import Potoo, failed

COUNT = 300


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_pictures(tmp_path_factory.mktemp("pictures") / "photos", COUNT)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two versions, the second of which abstains unless it is sure."""
    root = tmp_path / "models"
    groups = {"green": "cold", "blue": "cold"}
    write_model(root, None, groups=groups, abstain_below=0.0)
    write_model(root, None, version=2, groups=groups, abstain_below=0.9)
    return root


def test_evaluation_of_the_default_version_is_printed(
    potoo: Potoo, models: Path, photos: Path
) -> None:
    result = potoo("models", "evaluate", "colours", "--images", photos, "--models", models)
    assert result.exit_code == 0, result.stderr
    header, top1, *_ = result.stdout.splitlines()
    assert header.split() == ["colours", "2", "images"]
    assert top1.startswith("right label (top-1)")
    assert top1.endswith(f" {COUNT}")
    assert "of the surest images, right" in result.stdout
    assert "most often instead" not in result.stdout


def test_versions_are_compared_per_class(potoo: Potoo, models: Path, photos: Path) -> None:
    result = potoo(
        *("models", "evaluate", "colours", "--images", photos, "--models", models),
        *("--version", "2", "--against", "1", "--per-class"),
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["colours", "1", "colours", "2", "difference", "images"]
    (answered,) = [line.split() for line in lines if line.startswith("answered")]
    assert answered[1] == "100.0%"
    assert answered[3].startswith("-")
    assert [line for line in lines if line.endswith(":")] == ["colours 1:", "colours 2:"]


def test_json_report_is_alone_on_standard_output(
    potoo: Potoo, models: Path, photos: Path, tmp_path: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(photos, mixed)
    (mixed / "red/broken.png").write_bytes(b"no picture")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign/a.png").write_bytes(plain(RED))
    result = potoo(
        *("models", "evaluate", "colours", "--images", mixed, "--models", models),
        *("--foreign", tmp_path / "foreign", "--json", "--confusion", tmp_path / "c.png"),
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == "colours"
    (side,) = document["evaluations"]
    assert side["version"] == 2
    assert (side["images"], side["unreadable"]) == (COUNT, 1)
    assert side["foreign"]["answered"] == {"share": 1.0, "count": 1, "of": 1}
    assert "broken.png" in result.stderr
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--version", "9"), "there is no version 9"),
        (("--against", "2"), "--against 2 is the same version"),
        (("--confusion", "/no/such/folder/c.png"), "there is no folder /no/such/folder"),
    ],
)
def test_impossible_evaluation_is_reported_in_one_line(
    potoo: Potoo, models: Path, photos: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = ("models", "evaluate", "colours", "--images", photos, "--models", models)
    failed(potoo(*given, *arguments), message)


def test_photos_without_known_labels_are_refused(
    potoo: Potoo, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(plain(RED))
    given = ("models", "evaluate", "colours", "--models", models)
    failed(potoo(*given, "--images", tmp_path / "photos"), "that the model knows")
    (tmp_path / "list.csv").write_text("name\na.png\n")
    failed(potoo(*given, "--images", tmp_path / "list.csv"), "must begin with the line")


def test_calibrated_version_becomes_the_default(potoo: Potoo, models: Path, photos: Path) -> None:
    given = ("models", "calibrate", "colours", "--images", photos, "--models", models)
    result = potoo(*given, "--version", "1", "--precision", "0.9")
    assert result.exit_code == 0, result.stderr
    first, header, *_, temperature, promise, last = result.stdout.splitlines()
    assert first == f"fitted on {COUNT // 2} images, measured on others:"
    assert header.split() == ["before", "after", "difference", "images"]
    assert temperature.startswith("temperature ")
    assert "; groups, the narrowest first: " in temperature
    assert promise.startswith("promised 90.0%; ")
    assert last == f"written to {models}/colours/3; running servers load it within seconds"
    shown = json.loads(potoo("models", "show", "colours", "--models", models).stdout)
    assert shown["version"] == 3
    assert shown["calibration"]["precision"] == 0.9
    assert shown["calibration"]["dataset"] == "photos"
    assert "colours\t3\tok" in potoo("models", "verify", "--models", models).stdout
    (added,) = map(json.loads, (models / ".audit.log").read_text().splitlines())
    assert (added["event"], added["model"], added["version"]) == ("model_added", "colours", 3)


def test_calibration_keeps_a_pinned_default_version(
    potoo: Potoo, models: Path, photos: Path
) -> None:
    potoo("models", "promote", "colours", "1", "--models", models)
    result = potoo("models", "calibrate", "colours", "--images", photos, "--models", models)
    assert result.stdout.splitlines()[-1] == (
        f"written to {models}/colours/3; version 1 stays the default; 'potoo models promote "
        "colours 3' makes the new one the default"
    )


def test_dry_run_writes_nothing(potoo: Potoo, models: Path, photos: Path) -> None:
    given = ("models", "calibrate", "colours", "--images", photos, "--models", models)
    result = potoo(*given, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "nothing was written (--dry-run)"
    assert sorted(path.name for path in (models / "colours").iterdir()) == ["1", "2"]
    assert not (models / ".audit.log").exists()


@pytest.mark.parametrize("precision", ["0", "1", "95"])
def test_precision_out_of_range_is_reported_in_one_line(
    potoo: Potoo, models: Path, photos: Path, precision: str
) -> None:
    given = ("models", "calibrate", "colours", "--images", photos, "--models", models)
    failed(potoo(*given, "--precision", precision), "cannot be promised: above 0 and below 1")
