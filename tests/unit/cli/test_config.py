"""``potoo config``, ``potoo models`` and the command itself."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
from pathlib import Path

import pytest

from service import __version__
from service.settings import describe_settings, load_settings
from tests.support.models.pictures import BLUE, RED, plain
from tests.support.models.tiny_model import colour_graph, write_model
from tests.unit.cli.conftest import Potoo


def test_version_and_help_are_printed_and_unknown_input_refused(potoo: Potoo) -> None:
    assert potoo("--version").stdout == f"potoo {__version__}\n"
    for arguments in (("--help",), ("-h",), ("serve", "--help"), ("users", "add", "-h")):
        result = potoo(*arguments)
        assert result.exit_code == 0
        assert "Usage: " in result.stdout
    assert potoo("--bogus").exit_code == 2
    assert potoo("bogus").exit_code == 2


def test_printed_settings_reload_as_the_same_settings(
    potoo: Potoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POTOO_HOST", 'a "quoted" \\ host')
    monkeypatch.setenv("POTOO_LIMITS__MAX_PIXELS", "123")
    monkeypatch.setenv("POTOO_LIMITS__KEEP_ALIVE_SECONDS", "inf")
    monkeypatch.setenv("POTOO_OBSERVABILITY__ACCESS_LOG", "no")
    file = tmp_path / "shown.toml"
    file.write_text(potoo("config").stdout)
    expected = load_settings()
    for name in [name for name in os.environ if name.startswith("POTOO_")]:
        monkeypatch.delenv(name)
    assert load_settings(file) == expected
    assert expected != load_settings()


def test_every_setting_is_printed_with_its_description(potoo: Potoo) -> None:
    shown = potoo("config").stdout
    for name, _, _, description in describe_settings(load_settings()):
        line = next(line for line in shown.splitlines() if f"# {description}" in line)
        assert name.rpartition(".")[2] in line
    tables = tomllib.loads(shown)
    assert {"limits", "inference", "auth", "observability"} <= set(tables)


def test_env_option_prints_every_variable(potoo: Potoo) -> None:
    shown = potoo("config", "--env").stdout
    for _, variable, _, _ in describe_settings(load_settings()):
        assert f"{variable}=" in shown
    assert not any(line.startswith("[") for line in shown.splitlines())


SECRETS = {
    "POTOO_ADMIN_PASSWORD": "a secret nobody may see",
    "POTOO_DATABASE_URL": "postgresql://potoo:a-secret-nobody-may-see@db.example/potoo",
    "POTOO_AUTH__SIGNING_KEY": "a secret nobody may see",
    "POTOO_AUTH__RATE_STORE": "redis://:a-secret-nobody-may-see@redis.example/0",
}


@pytest.mark.parametrize("arguments", [(), ("--env",)])
@pytest.mark.parametrize("variable", SECRETS)
def test_secrets_are_masked(
    potoo: Potoo, monkeypatch: pytest.MonkeyPatch, variable: str, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, SECRETS[variable])
    shown = potoo("config", *arguments).stdout
    assert "nobody" not in shown
    name = variable if arguments else variable.removeprefix("POTOO_").lower().rpartition("__")[2]
    assert f"# {name} is set " in shown


@pytest.mark.parametrize("arguments", [(), ("--env",)])
def test_targets_of_webhooks_are_masked(
    potoo: Potoo, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("POTOO_WEBHOOKS__URLS", '["https://hooks.example/a-secret-nobody-may-see"]')
    monkeypatch.setenv("POTOO_WEBHOOKS__SECRET", "a secret nobody may see")
    shown = potoo("config", *arguments).stdout
    assert "nobody" not in shown
    assert f"# {'POTOO_WEBHOOKS__URLS' if arguments else 'urls'} is set " in shown


def test_masked_secret_reloads_as_unset(
    potoo: Potoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, secret in SECRETS.items():
        monkeypatch.setenv(variable, secret)
    file = tmp_path / "shown.toml"
    file.write_text(potoo("config").stdout)
    for variable in SECRETS:
        monkeypatch.delenv(variable)
    assert load_settings(file) == load_settings()


ISSUER = {
    "name": "corp",
    "issuer": "https://login.example/realms/corp",
    "audience": ["potoo", 'the "api"'],
    "required_claims": {"typ": "Bearer", "https://corp.example/staff": True, "level": 3},
    "scopes": {"a role, spaced": ["classify", "models:read"], "\u00e4\x7f\n": ["admin"]},
}


def test_printed_lists_and_issuers_can_be_reloaded(
    potoo: Potoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "POTOO_CORS_ORIGINS": '["https://app.example", "http://localhost:3000"]',
        "POTOO_TRUSTED_PROXIES": '["10.0.0.0/8", "2001:db8::1"]',
        "POTOO_AUTH__ISSUERS": json.dumps([ISSUER, {**ISSUER, "name": "b", "issuer": "https://b"}]),
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    expected, shown, env = load_settings(), potoo("config").stdout, potoo("config", "--env").stdout
    assert len(expected.auth.issuers) == len(expected.cors_origins) == 2
    for variable in variables:
        monkeypatch.delenv(variable)
    file = tmp_path / "shown.toml"
    file.write_text(shown)
    assert load_settings(file) == expected
    for variable in variables:
        line = next(line for line in env.splitlines() if line.startswith(f"{variable}="))
        monkeypatch.setenv(variable, shlex.split(line, comments=True)[0].partition("=")[2])
    assert load_settings() == expected


def test_config_option_file_is_shown(potoo: Potoo, tmp_path: Path) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text("port = 4321\n")
    assert "port = 4321" in potoo("config", "--config", file).stdout


@pytest.mark.parametrize("text", ["prot = 1", "port = -1", "port ="])
def test_invalid_config_file_is_reported_on_standard_error(
    potoo: Potoo, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "potoo.toml"
    file.write_text(text)
    result = potoo("config", "--config", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("potoo: ")
    assert "Traceback" not in result.stderr


def test_models_are_listed_shown_and_verified(potoo: Potoo, tmp_path: Path) -> None:
    accuracy = [{"dataset": "d", "split": "test", "photos": 100, "top1": 0.875}]
    calibration = {"precision": 0.9, "dataset": "d", "photos": 100}
    write_model(tmp_path, accuracy=accuracy, calibration=calibration)
    write_model(tmp_path, name="plain", description="")
    listed = potoo("models", "list", "--models", tmp_path)
    assert listed.stdout == (
        "colours\t1\tok\tdefault\t87.5%\tMostly red, green or blue?\n"
        "plain\t1\tok\tdefault,uncalibrated\t-\n"
    )
    assert "there is no default model" in listed.stderr
    shown = potoo("models", "show", "colours", "--models", tmp_path)
    assert json.loads(shown.stdout)["labels"] == ["red", "green", "blue"]
    verified = potoo("models", "verify", "--models", tmp_path)
    assert verified.exit_code == 0
    assert [line.split("\t")[:3] for line in verified.stdout.splitlines()] == [
        ["colours", "1", "ok"],
        ["plain", "1", "ok"],
    ]


def test_unusable_models_are_reported_in_one_line(potoo: Potoo, tmp_path: Path) -> None:
    for command in ("list", "verify"):
        assert "no models in" in potoo("models", command, "--models", tmp_path).stderr
    folder = write_model(tmp_path)
    assert "no model 'other'" in potoo("models", "show", "other", "--models", tmp_path).stderr
    (folder / "model.onnx").write_bytes(colour_graph(side=8).SerializeToString())
    for arguments, status in ((("verify",), 1), (("list",), 0), (("show", "colours"), 1)):
        result = potoo("models", *arguments, "--models", tmp_path)
        assert result.exit_code == status
        assert "manifest field sha256" in result.output
        assert len(result.output.splitlines()) == 1


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


def test_unreadable_file_only_changes_the_exit_status(potoo: Potoo, tmp_path: Path) -> None:
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
