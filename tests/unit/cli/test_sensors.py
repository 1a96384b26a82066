"""``potoo sensors``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.models.tiny_model import write_model
from tests.support.sensors.tiny_series import write_series_model
from tests.unit.cli.conftest import Potoo, failed

SHAPE = ("--channels", "3", "--rate", "100", "--model", "loudest")


@pytest.fixture(autouse=True)
def models(data_dir: Path) -> None:
    write_series_model(data_dir / "models")


@pytest.fixture
def pump(potoo: Potoo, data_dir: Path) -> str:
    result = potoo("sensors", "add", "pump", *SHAPE, "--data-dir", data_dir)
    assert (result.exit_code, result.stdout) == (
        0,
        "added pump: 3 channels at 100 Hz for the model loudest\n",
    )
    return "pump"


def shown(potoo: Potoo, data_dir: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        potoo("sensors", "show", "pump", "--data-dir", data_dir).stdout
    )
    return found


def test_options_are_stored(potoo: Potoo, data_dir: Path) -> None:
    result = potoo(
        *("sensors", "add", "pump", *SHAPE, "--window", "8", "--stride", "4"),
        *("--gap", "hold", "--gap-samples", "2", "--late-after", "1m", "--agree", "2/3"),
        *("--enter-score", "0.6", "--leave-score", "0.4", "--silent-after", "2m"),
        *("--data-dir", data_dir),
    )
    assert result.exit_code == 0, result.stderr
    assert shown(potoo, data_dir)["spec"] == {
        "channels": 3,
        "rate": 100,
        "model": "loudest",
        "window": 8,
        "stride": 4,
        "gap": "hold",
        "gap_samples": 2,
        "late_after_seconds": 60,
        "agree": 2,
        "of": 3,
        "enter_score": 0.6,
        "leave_score": 0.4,
        "silent_after_seconds": 120,
    }


def test_change_keeps_what_is_not_given(potoo: Potoo, data_dir: Path, pump: str) -> None:
    change = ("sensors", "change", pump, "--data-dir", data_dir)
    assert potoo(*change, "--stride", "2", "--rate", "50").exit_code == 0
    spec = shown(potoo, data_dir)["spec"]
    assert isinstance(spec, dict)
    assert (spec["stride"], spec["rate"], spec["channels"]) == (2, 50, 3)
    assert potoo(*change, "--stride", "none").exit_code == 0
    spec = shown(potoo, data_dir)["spec"]
    assert isinstance(spec, dict)
    assert (spec["stride"], spec["rate"]) == (None, 50)
    failed(potoo(*change), "nothing to change: give an option")


def test_list_pause_events_and_remove(potoo: Potoo, data_dir: Path, pump: str) -> None:
    listed = potoo("sensors", "list", "--data-dir", data_dir).stdout
    assert listed == "pump\twaiting\t-\t3 x 100 Hz\tloudest\n"
    assert potoo("sensors", "pause", pump, "--data-dir", data_dir).stdout == "paused pump\n"
    assert shown(potoo, data_dir)["status"] == "paused"
    assert potoo("sensors", "resume", pump, "--data-dir", data_dir).stdout == "resumed pump\n"
    assert potoo("sensors", "events", pump, "--data-dir", data_dir).stdout == ""
    assert potoo("sensors", "remove", pump, "--data-dir", data_dir).stdout == "removed pump\n"
    assert potoo("sensors", "list", "--data-dir", data_dir).stdout == ""
    for command in ("show", "events", "remove", "pause"):
        result = potoo("sensors", command, pump, "--data-dir", data_dir)
        failed(result, "There is no sensor with this name.")


def test_models_that_do_not_fit_are_refused(potoo: Potoo, data_dir: Path) -> None:
    write_model(data_dir / "models")
    add = ("sensors", "add", "pump", "--rate", "1", "--data-dir", data_dir)
    given = {
        ("--channels", "1", "--model", "loudest"): "The model 'loudest' takes 3",
        ("--channels", "3", "--model", "none"): "There is no model 'none'.",
        ("--channels", "3", "--model", "colours"): (
            "The model 'colours' takes images, not windows of samples"
        ),
        ("--channels", "3", "--model", "loudest", "--window", "9"): (
            "The model 'loudest' takes windows of 8 samples"
        ),
    }
    for options, message in given.items():
        failed(potoo(*add, *options), message)


def test_malformed_options_are_refused(potoo: Potoo, data_dir: Path) -> None:
    add = ("sensors", "add", "pump", *SHAPE, "--data-dir", data_dir)
    failed(potoo(*add, "--agree", "3/2"), "agree is at most of")
    failed(potoo(*add, "--gap-samples", "3"), "gap_samples needs gap")
    failed(potoo(*add, "--window", "many"), "window")
    failed(potoo(*add, "--silent-after", "soon"), "no duration")
