"""``potoo models optimise`` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from service.modeltools.sources.built_in import BUNDLED_MODELS
from tests.support.models.pictures import blobs
from tests.unit.cli.conftest import Potoo

COUNT = 60


def repository(folder: Path) -> Path:
    """The bundled model in a separate repository, and images."""
    shutil.copytree(BUNDLED_MODELS / "everyday", folder / "models/everyday")
    (folder / "pictures").mkdir()
    for number in range(COUNT):
        blobs((160, 120), seed=number).save(folder / f"pictures/{number}.png")
    return folder / "models"


def test_optimised_model_is_compared_and_written(potoo: Potoo, tmp_path: Path) -> None:
    models, pictures = repository(tmp_path), tmp_path / "pictures"
    arguments = ("models", "optimise", "everyday", "--models", models, "--images", pictures)
    result = potoo(*arguments, "--min-agreement", "0", "--keep-slower")
    assert result.exit_code == 0, result.stderr
    chosen, because, header, *rows, last = result.stdout.splitlines()
    assert chosen.startswith("chosen: ")
    assert because.startswith("because: share of probability moved: minmax ")
    assert header.split() == ["original", "optimised", "images"]
    assert [row[:24].strip() for row in rows] == [
        "calibrated on",
        "run, milliseconds",
        "size, MB",
        "top-1",
        "same answer",
        "same answer, where sure",
    ]
    assert [row.split()[-1] for row in (rows[0], rows[1], rows[3], rows[4])] == [
        *("20", "40", "0", "40")
    ]
    assert last.startswith(f"written to {models / 'everyday/2'}")
    verified = potoo("models", "verify", "--models", models).stdout
    assert verified.startswith("everyday\t2\tok")
    (added,) = map(json.loads, (models / ".audit.log").read_text().splitlines())
    assert (added["event"], added["version"]) == ("model_added", 2)


def test_image_list_is_read_and_unknown_labels_are_reported(potoo: Potoo, tmp_path: Path) -> None:
    models = repository(tmp_path)
    rows = [f"pictures/{number}.png,teapot" for number in range(3)]
    (tmp_path / "list.csv").write_text("\n".join(["file,label", *rows, "gone.png,car"]))
    images = ("--images", tmp_path / "list.csv")
    result = potoo("models", "optimise", "everyday", "--models", models, *images)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "note: list.csv, line 5: there is no file 'gone.png'",
        "note: 3 images have labels that the model does not know: 'teapot' (3)",
    ]
    assert "3 images can be read" in result.stderr


def test_optimise_without_readable_images_exits_with_status_1(potoo: Potoo, tmp_path: Path) -> None:
    models = repository(tmp_path)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    result = potoo("models", "optimise", "everyday", "--models", models, "--images", nothing)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "0 images can be read" in result.stderr
    assert not (models / "everyday/2").exists()


def test_unknown_model_is_named(potoo: Potoo, tmp_path: Path) -> None:
    models = repository(tmp_path)
    images = tmp_path / "pictures"
    result = potoo("models", "optimise", "birds", "--models", models, "--images", images)
    assert (result.exit_code, result.stderr) == (1, "potoo: there is no model 'birds'\n")
