"""The security log of changes by ``potoo models``: a file in the repository."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import LABELS, write_model
from tests.unit.cli.conftest import Potoo, failed

ME = f"cli:{pwd.getpwuid(os.getuid()).pw_name}"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with two versions of a model."""
    for version in (1, 2):
        write_model(tmp_path / "models", None, version=version)
    return tmp_path / "models"


def recorded(models: Path) -> list[dict[str, object]]:
    """The events, without their times."""
    file = models / ".audit.log"
    lines = file.read_text().splitlines() if file.exists() else []
    events = [json.loads(line) for line in lines]
    assert all(event.pop("timestamp") for event in events)
    assert all((event.pop("level"), event.pop("logger")) == ("info", "audit") for event in events)
    return events


def test_every_change_is_recorded_with_the_user(potoo: Potoo, models: Path) -> None:
    for arguments in (
        ("promote", "colours", "1", "--label", "stable"),
        ("rollback", "colours"),
        ("promote", "colours", "latest"),
        ("default", "colours"),
        ("default", "--none"),
        ("promote", "colours", "2"),
        ("promote", "colours", "2", "--label", "stable", "--keep-default"),
        ("remove", "colours", "1"),
    ):
        result = potoo("models", *arguments, "--models", models)
        assert (result.exit_code, result.stderr) == (0, ""), arguments
    colours = {"account": ME, "model": "colours"}
    assert recorded(models) == [
        {"event": "model_promoted", **colours, "version": 1, "label": "stable"},
        {"event": "model_rolled_back", **colours, "version": 2},
        {"event": "model_promoted", **colours, "version": 2, "label": None},
        {"event": "model_default_changed", **colours},
        {"event": "model_default_changed", "account": ME, "model": None},
        {"event": "model_promoted", **colours, "version": 2, "label": None},
        {"event": "model_promoted", **colours, "version": 2, "label": "stable"},
        {"event": "model_removed", **colours, "version": 1},
    ]


def test_what_is_refused_or_only_read_is_not_recorded(potoo: Potoo, models: Path) -> None:
    failed(potoo("models", "promote", "colours", "3", "--models", models), "no version 3")
    failed(potoo("models", "remove", "colours", "2", "--models", models), "is the default")
    failed(potoo("models", "default", "gone", "--models", models), "no model 'gone'")
    for verb in ("list", "verify", "default"):
        assert potoo("models", verb, "--models", models).exit_code == 0
    assert recorded(models) == []


def test_an_added_version_is_recorded(potoo: Potoo, models: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    (tmp_path / "red.png").write_bytes(plain(RED))
    model = models / "colours/1/model.onnx"
    given = ("models", "add", model, "--name", "mine", "--labels", tmp_path / "labels.txt")
    for extra in ((), ("--no-promote",), ("--dry-run", "--try", tmp_path / "red.png")):
        assert potoo(*given, "--like", "0-1", "--models", models, *extra).exit_code == 0
    mine = {"event": "model_added", "account": ME, "model": "mine"}
    assert recorded(models) == [{**mine, "version": 1}, {**mine, "version": 2}]


def test_a_built_model_is_recorded(potoo: Potoo, tmp_path: Path) -> None:
    assert potoo("models", "build", "everyday", "--models", tmp_path).exit_code == 0
    (event,) = recorded(tmp_path)
    assert event == {"event": "model_added", "account": ME, "model": "everyday", "version": 1}


def test_a_change_that_cannot_be_recorded_says_so(potoo: Potoo, models: Path) -> None:
    (models / ".audit.log").mkdir()
    result = potoo("models", "promote", "colours", "1", "--models", models)
    failed(result, "model_promoted: done, but not recorded in ")
