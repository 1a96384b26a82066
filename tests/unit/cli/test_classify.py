"""``potoo classify``: the output per photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli.shared.answer_lines import summary_line
from service.core.imaging.answer import (
    Classification,
    ImageFacts,
    Named,
    Prediction,
    Summary,
    Timing,
)
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import GROUPED, MEASURED, write_model, write_multi_label
from tests.unit.cli.conftest import Potoo

TEAL, GREY, YELLOW, BLACK = (0, 255, 230), (90, 90, 90), (255, 255, 0), (0, 0, 0)
NOTE = "scores of 'colours' are not calibrated: see 'potoo models calibrate'\n"


def answer(
    summary: Summary | None = None,
    *scored: tuple[str, float],
    present: list[str] | None = None,
) -> Classification:
    """A possible classification; ``scored``: its predictions."""
    return Classification(
        summary,
        [Prediction(label, index, score) for index, (label, score) in enumerate(scored)],
        present,
        summary is None and not present,
        calibrated=True,
        image=ImageFacts("JPEG", 640, 480),
        timing=Timing(1.0, 0.0, 2.0, 3.0),
    )


FIRE_ENGINE, TOW_TRUCK, TRAM = ("fire engine", 0.31), ("tow truck", 0.22), ("tram", 0.1)
DOG, BALL = ("dog", 0.91), ("ball", 0.772)
LINES = {
    "cat 98.0%, perhaps Egyptian cat 70.1%": answer(
        Summary("cat", 0.98, 1, Named("Egyptian cat", 0.701)), ("Egyptian cat", 0.701)
    ),
    "cat 98.0%": answer(Summary("cat", 0.98, 1, None), ("Egyptian cat", 0.3)),
    "goldfish 97.3%": answer(Summary("goldfish", 0.973, 0, None), ("goldfish", 0.973)),
    "not sure (fire engine 31.0%, tow truck 22.0%)": answer(None, FIRE_ENGINE, TOW_TRUCK, TRAM),
    "not sure (fire engine 31.0%)": answer(None, FIRE_ENGINE),
    "dog 91.0%, ball 77.2%": answer(None, DOG, BALL, TRAM, present=["dog", "ball"]),
    "dog 91.0%, ball": answer(None, DOG, present=["dog", "ball"]),
    "none of its labels": answer(None, TRAM, present=[]),
}


@pytest.mark.parametrize("line", LINES)
def test_summary_line_shows_the_most_useful_result(line: str) -> None:
    assert summary_line(LINES[line]) == line


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A red, a teal and a grey image."""
    files = [tmp_path / f"{name}.png" for name in ("red", "teal", "grey")]
    for file, colour in zip(files, (RED, TEAL, GREY), strict=True):
        file.write_bytes(plain(colour))
    return files


def test_summary_line_shows_the_finest_confident_level(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models", None, **GROUPED, **MEASURED)
    result = potoo("classify", *photos, "--models", tmp_path / "models")
    assert result.stdout.splitlines() == [
        f"{photos[0]}: red 100.0%",
        f"{photos[1]}: cool colour 100.0%, perhaps green 72.7%",
        f"{photos[2]}: not sure (red 33.3%, green 33.3%)",
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_all_option_lists_predictions_below_the_summary(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models", None, **GROUPED)
    options = ("--all", "--top-k", "2", "--models", tmp_path / "models")
    lines = potoo("classify", photos[1], *options).stdout.splitlines()
    assert lines[1:] == ["  green 72.7%", "  blue 27.3%"]


def test_a_missing_calibration_is_noted_once(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models")
    result = potoo("classify", *photos, "--models", tmp_path / "models")
    assert (result.exit_code, result.stderr) == (0, NOTE)


def test_json_output_has_all_fields_and_top_k_predictions(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models", None, **GROUPED)
    command = ("classify", "--json", "--top-k", "1", "--models", tmp_path / "models")
    result = potoo(*command, *photos[1:], tmp_path / "missing.png")
    teal, grey, missing = map(json.loads, result.stdout.splitlines())
    assert teal["model"] == {"name": "colours", "version": 1}
    assert teal["summary"]["label"] == "cool colour"
    assert teal["summary"]["perhaps"]["label"] == "green"
    assert [one["label"] for one in teal["predictions"]] == ["green"]
    assert (teal["labels_present"], teal["abstained"], teal["calibrated"]) == (None, False, False)
    assert (grey["summary"], grey["abstained"]) == (None, True)
    assert set(missing) == {"file", "problem"}
    assert (result.exit_code, result.stderr) == (1, "")


def test_multi_label_model_shows_present_labels(potoo: Potoo, tmp_path: Path) -> None:
    write_multi_label(tmp_path / "models", {"thresholds": [0.5, 0.5, 0.9]}, **MEASURED)
    for name, colour in (("yellow", YELLOW), ("black", BLACK)):
        (tmp_path / f"{name}.png").write_bytes(plain(colour))
    photos = (tmp_path / "yellow.png", tmp_path / "black.png")
    result = potoo("classify", *photos, "--top-k", "1", "--models", tmp_path / "models")
    assert result.stdout.splitlines() == [
        f"{photos[0]}: red 99.3%, green 99.3%",
        f"{photos[1]}: none of its labels",
    ]


def test_folders_are_searched_at_any_depth(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models", None, **MEASURED)
    deep = tmp_path / "all" / "b" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    photos[0].rename(deep / "RED.PNG")
    photos[1].rename(tmp_path / "all" / "a.png")
    (tmp_path / "all" / "notes.txt").write_text("no image")
    (tmp_path / "all" / ".hidden").mkdir()
    photos[2].rename(tmp_path / "all" / ".hidden" / "grey.png")
    folders = (tmp_path / "all", tmp_path / "empty")
    result = potoo("classify", *folders, "--models", tmp_path / "models")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/all/a.png: green ")
    assert lines[1:] == [
        f"{tmp_path}/all/b/deep/RED.PNG: red 100.0%",
        f"{tmp_path}/empty: no images in this folder",
    ]
    assert result.exit_code == 1


def test_dash_reads_one_image_from_standard_input(
    potoo: Potoo, tmp_path: Path, photos: list[Path]
) -> None:
    write_model(tmp_path / "models", None, **MEASURED)
    command = ("classify", "-", photos[0], "-", "--models", tmp_path / "models")
    result = potoo(*command, stdin=plain(RED))
    assert result.stdout.splitlines() == ["-: red 100.0%", f"{photos[0]}: red 100.0%"]
    assert (result.exit_code, result.stderr) == (0, "")
