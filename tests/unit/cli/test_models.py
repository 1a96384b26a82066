"""``potoo models optimise`` on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

from service.settings import BUNDLED_MODELS
from tests.pictures import blobs
from tests.unit.cli.conftest import Potoo

COUNT = 60


def repository(folder: Path) -> Path:
    """The bundled model in a repository of its own, and pictures beside it."""
    shutil.copytree(BUNDLED_MODELS / "everyday", folder / "models/everyday")
    (folder / "pictures").mkdir()
    for number in range(COUNT):
        blobs((160, 120), seed=number).save(folder / f"pictures/{number}.png")
    return folder / "models"


def test_a_model_is_optimised_and_compared(potoo: Potoo, tmp_path: Path) -> None:
    models, pictures = repository(tmp_path), tmp_path / "pictures"
    arguments = ("models", "optimise", "everyday", "--models", models, "--images", pictures)
    result = potoo(*arguments, "--max-loss", "100", "--keep-slower")
    assert result.exit_code == 0, result.stderr
    header, *rows, last = result.stdout.splitlines()
    assert header.split() == ["original", "optimised"]
    assert [row[:22].strip() for row in rows] == ["run, milliseconds", "size, MB", "same answer"]
    assert last.startswith(f"written to {models / 'everyday/2'}")
    verified = potoo("models", "verify", "--models", models).stdout
    assert verified.startswith("everyday\t2\tok")


def test_one_that_is_not_worth_it_is_a_line_and_exit_status_1(potoo: Potoo, tmp_path: Path) -> None:
    models = repository(tmp_path)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    result = potoo("models", "optimise", "everyday", "--models", models, "--images", nothing)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "0 images can be read" in result.stderr
    assert not (models / "everyday/2").exists()


def test_a_model_that_is_not_there_is_named(potoo: Potoo, tmp_path: Path) -> None:
    models = repository(tmp_path)
    images = tmp_path / "pictures"
    result = potoo("models", "optimise", "birds", "--models", models, "--images", images)
    assert (result.exit_code, result.stderr) == (1, "potoo: there is no model 'birds'\n")
