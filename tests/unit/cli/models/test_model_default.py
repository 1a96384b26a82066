"""``potoo models default``, and commands that need the default model."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.serving import REPOSITORY_FILE
from service.core.repository.repository import Repository
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import write_model
from tests.unit.cli.conftest import Potoo, failed


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two models that can be served, and one that cannot."""
    for name in ("colours", "aaa"):
        write_model(tmp_path / "models", None, name=name)
    write_model(tmp_path / "models", None, name="broken", sha256="0" * 64)
    return tmp_path / "models"


def test_default_model_is_chosen_shown_and_cleared(potoo: Potoo, models: Path) -> None:
    def told(*arguments: str) -> str:
        result = potoo("models", "default", *arguments, "--models", models)
        assert result.exit_code == 0, result.output
        return result.stdout

    none = "there is no default model: calls must name one of aaa, broken, colours\n"
    chosen = "colours is the default model: it is chosen\n"
    assert told() == none
    assert told("colours") == told() == chosen
    assert Repository(models).chosen_model() == "colours"
    assert told("--none") == told() == none


def test_only_model_is_shown_as_the_default(potoo: Potoo, tmp_path: Path) -> None:
    write_model(tmp_path)
    told = potoo("models", "default", "--models", tmp_path).stdout
    assert told == "colours is the default model: it is the only one\n"


def test_setting_overrides_the_chosen_default_model(
    potoo: Potoo, models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "potoo.toml"
    config.write_text('default_model = "aaa"')
    told = potoo("models", "default", "colours", "--models", models, "--config", config).stdout
    assert told.startswith("aaa is the default model: the setting default_model")
    assert "('colours')" in told
    assert Repository(models).chosen_model() == "colours"


def test_missing_chosen_model_is_reported(potoo: Potoo, models: Path) -> None:
    (models / REPOSITORY_FILE).write_text('{"default_model": "gone"}')
    told = potoo("models", "default", "--models", models).stdout
    assert told.startswith("'gone' is chosen, but there is no such model: calls must name one of ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gone",), "there is no model 'gone'"),
        (("../colours",), "there is no model"),
        (("broken",), "manifest field sha256"),
        (("colours", "--none"), "not both"),
    ],
)
def test_unusable_model_cannot_be_chosen(
    potoo: Potoo, models: Path, arguments: tuple[str, ...], says: str
) -> None:
    failed(potoo("models", "default", *arguments, "--models", models), says)
    assert not (models / REPOSITORY_FILE).exists()


def test_the_default_model_is_marked_in_the_list(potoo: Potoo, models: Path) -> None:
    Repository(models).choose_model("colours")
    result = potoo("models", "list", "--models", models)
    marks = {line.split("\t")[0]: line.split("\t")[3] for line in result.stdout.splitlines()}
    assert marks == {
        "aaa": "default,uncalibrated",
        "broken": "default",
        "colours": "default-model,default,uncalibrated",
    }
    assert result.stderr == ""


def test_classify_without_a_default_model_lists_the_models(potoo: Potoo, tmp_path: Path) -> None:
    for name in ("colours", "aaa"):
        write_model(tmp_path / "models", None, name=name)
    (tmp_path / "red.png").write_bytes(plain(RED))
    arguments = ("classify", tmp_path / "red.png", "--models", tmp_path / "models")
    failed(potoo(*arguments), "Name one of these models: aaa, colours; or choose a default with")
    assert potoo(*arguments, "--model", "aaa").exit_code == 0
    Repository(tmp_path / "models").choose_model("aaa")
    assert '"name": "aaa"' in potoo(*arguments, "--json").stdout


def test_calibrate_without_a_default_model_lists_the_models(potoo: Potoo, models: Path) -> None:
    failed(potoo("calibrate", "--models", models), "Name one of these models: aaa, broken, colours")


def test_adding_a_model_keeps_the_only_model_as_default(potoo: Potoo, tmp_path: Path) -> None:
    source = write_model(tmp_path / "models")
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    result = potoo(
        *("models", "add", source / "model.onnx", "--name", "aaa", "--labels", labels),
        *("--like", "0-1", "--models", tmp_path / "models"),
    )
    assert result.exit_code == 0, result.output
    assert Repository(tmp_path / "models").names() == ["aaa", "colours"]
    assert Repository(tmp_path / "models").chosen_model() == "colours"
