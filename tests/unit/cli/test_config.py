"""``potoo config``, ``potoo models`` and the command itself."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from service import __version__
from service.settings import describe_settings, load_settings
from tests.pictures import BLUE, RED, plain
from tests.tiny_model import colour_graph, write_model
from tests.unit.cli.conftest import Potoo


def test_the_command_helps_itself(potoo: Potoo) -> None:
    assert potoo("--version").stdout == f"potoo {__version__}\n"
    for arguments in (("--help",), ("-h",), ("serve", "--help"), ("users", "add", "-h")):
        result = potoo(*arguments)
        assert result.exit_code == 0
        assert "Usage: " in result.stdout
    assert potoo("--bogus").exit_code == 2
    assert potoo("bogus").exit_code == 2


def test_the_shown_settings_are_a_file_that_gives_the_same_settings(
    potoo: Potoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTOO_HOST", 'a "quoted" \\ host')
    monkeypatch.setenv("POTOO_LIMITS__MAX_PIXELS", "123")
    monkeypatch.setenv("POTOO_OBSERVABILITY__ACCESS_LOG", "no")
    file = tmp_path / "shown.toml"
    file.write_text(potoo("config").stdout)
    expected = load_settings()
    for name in ("POTOO_HOST", "POTOO_LIMITS__MAX_PIXELS", "POTOO_OBSERVABILITY__ACCESS_LOG"):
        monkeypatch.delenv(name)
    assert load_settings(file) == expected


def test_every_setting_is_shown_with_its_meaning(potoo: Potoo) -> None:
    shown = potoo("config").stdout
    for name, _, _, description in describe_settings(load_settings()):
        line = next(line for line in shown.splitlines() if f"# {description}" in line)
        assert name.rpartition(".")[2] in line
    tables = tomllib.loads(shown)
    assert {"limits", "inference", "auth", "observability"} <= set(tables)


def test_the_variables_are_shown_too(potoo: Potoo) -> None:
    shown = potoo("config", "--env").stdout
    for _, variable, _, _ in describe_settings(load_settings()):
        assert f"{variable}=" in shown
    assert "[" not in "".join(line.partition("#")[0] for line in shown.splitlines())


@pytest.mark.parametrize("arguments", [(), ("--env",)])
def test_secrets_are_masked(
    potoo: Potoo, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("POTOO_ADMIN_PASSWORD", "a secret nobody may see")
    shown = potoo("config", *arguments).stdout
    assert "secret nobody" not in shown
    assert "admin_password" in shown.lower()


def test_a_mask_is_not_taken_for_the_password(
    potoo: Potoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTOO_ADMIN_PASSWORD", "a secret nobody may see")
    file = tmp_path / "shown.toml"
    file.write_text(potoo("config").stdout)
    monkeypatch.delenv("POTOO_ADMIN_PASSWORD")
    assert load_settings(file).admin_password is None


def test_the_file_on_the_command_line_is_shown(potoo: Potoo, tmp_path: Path) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text("port = 4321\n")
    assert "port = 4321" in potoo("config", "--config", file).stdout


@pytest.mark.parametrize("text", ["prot = 1", "port = -1", "port ="])
def test_an_unfit_file_is_a_line_on_standard_error(potoo: Potoo, tmp_path: Path, text: str) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text(text)
    result = potoo("config", "--config", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("potoo: ")
    assert "Traceback" not in result.stderr


def test_models_are_listed_shown_and_verified(potoo: Potoo, tmp_path: Path) -> None:
    accuracy = [{"dataset": "d", "split": "test", "photos": 100, "top1": 0.875}]
    write_model(tmp_path, accuracy=accuracy)
    write_model(tmp_path, name="plain", description="")
    listed = potoo("models", "list", "--models", tmp_path)
    assert listed.stdout == "colours\t1\t87.5%\tMostly red, green or blue?\nplain\t1\t-\t\n"
    shown = potoo("models", "show", "colours", "--models", tmp_path)
    assert json.loads(shown.stdout)["labels"] == ["red", "green", "blue"]
    verified = potoo("models", "verify", "--models", tmp_path)
    assert verified.exit_code == 0
    assert [line.split("\t")[:3] for line in verified.stdout.splitlines()] == [
        ["colours", "1", "ok"],
        ["plain", "1", "ok"],
    ]


def test_models_that_do_not_hold_are_a_line_and_exit_status_1(potoo: Potoo, tmp_path: Path) -> None:
    assert "no models in" in potoo("models", "list", "--models", tmp_path).stderr
    folder = write_model(tmp_path)
    assert "no model 'other'" in potoo("models", "show", "other", "--models", tmp_path).stderr
    (folder / "model.onnx").write_bytes(colour_graph(side=8).SerializeToString())
    for arguments in (("models", "verify"), ("models", "list"), ("models", "show", "colours")):
        result = potoo(*arguments, "--models", tmp_path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "manifest field sha256" in result.stderr


def test_files_are_classified_without_a_server(potoo: Potoo, tmp_path: Path) -> None:
    write_model(tmp_path / "models")
    for name, colour in (("red", RED), ("blue", BLUE)):
        (tmp_path / f"{name}.png").write_bytes(plain(colour))
    files = [tmp_path / "red.png", tmp_path / "blue.png"]
    result = potoo("classify", *files, "--models", tmp_path / "models", "--top-k", "1")
    assert result.exit_code == 0
    assert [line.partition(": ")[2].split()[0] for line in result.stdout.splitlines()] == [
        "red",
        "blue",
    ]
    lines = potoo("classify", *files, "--json", "--models", tmp_path / "models").stdout.splitlines()
    assert [json.loads(line)["predictions"][0]["label"] for line in lines] == ["red", "blue"]


def test_one_bad_file_spoils_the_exit_status_and_nothing_else(potoo: Potoo, tmp_path: Path) -> None:
    write_model(tmp_path / "models")
    (tmp_path / "good.png").write_bytes(plain(RED))
    (tmp_path / "bad.png").write_text("no image")
    files = [tmp_path / "bad.png", tmp_path / "missing.png", tmp_path / "good.png"]
    result = potoo("classify", *files, "--json", "--models", tmp_path / "models")
    bad, missing, good = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert bad["code"] == "unsupported_image"
    assert missing["problem"] == "No such file or directory"
    assert good["predictions"][0]["label"] == "red"
