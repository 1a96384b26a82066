"""``potoo models`` and others with models of numbers and of text: by name, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.models.pictures import RED, plain
from tests.support.models.text.tiny_text import mean_graph, write_text_model
from tests.support.models.tiny_model import LABELS, write_model
from tests.support.models.tiny_numeric import rows, scaled, scaler_graph, write_scaler
from tests.unit.cli.conftest import Potoo, failed

TAKES = "The model takes rows of 3 numbers, not images."
NUMBERS = "The model gives numbers, not labels (output.kind is values)."


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_scaler(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.png").write_bytes(plain(RED))
    return tmp_path / "photos"


def test_model_is_listed_shown_and_verified(potoo: Potoo, models: Path) -> None:
    listed = potoo("models", "list", "--models", models)
    assert listed.stdout.startswith("scaler\t1\tok\t"), listed.output
    shown = json.loads(potoo("models", "show", "scaler", "--models", models).stdout)
    assert (shown["input"]["kind"], shown["output"]["kind"]) == ("numeric", "values")
    verified = potoo("models", "verify", "--models", models)
    assert verified.exit_code == 0, verified.output
    assert verified.stdout.startswith("scaler\t1\tok\tno classes, ")


@pytest.mark.parametrize(("error", "exit_code"), [(0.0, 0), (1e-6, 1)])
def test_golden_rows_are_verified(
    potoo: Potoo, tmp_path: Path, error: float, exit_code: int
) -> None:
    values = (scaled(rows(2)) + error).tolist()
    golden = [{"file": "rows.npy", "values": values, "tolerance": 1e-9}]
    folder = write_scaler(tmp_path / "models", golden_values=golden)
    (folder / "golden").mkdir()
    np.save(folder / "golden/rows.npy", rows(2))
    result = potoo("models", "verify", "--models", tmp_path / "models")
    assert result.exit_code == exit_code, result.output
    assert ("golden_values[0]: rows.npy: number 0 of row 0" in result.output) == bool(exit_code)


@pytest.mark.parametrize("command", ["evaluate", "calibrate", "optimise"])
@pytest.mark.parametrize("takes_images", [False, True])
def test_tools_that_need_photos_and_labels_refuse_the_model(
    potoo: Potoo, models: Path, photos: Path, command: str, takes_images: bool
) -> None:
    name, reasons = "scaler", {TAKES, NUMBERS}
    if takes_images:
        name, reasons = "colours", {NUMBERS}
        output = {"name": "logits", "kind": "values"}
        write_model(models, output=output, labels=[], abstain_below=0)
    result = potoo("models", command, name, "--images", photos, "--models", models)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].removeprefix("potoo: ") in reasons


def test_capacity_cannot_be_calibrated_with_it(potoo: Potoo, models: Path, tmp_path: Path) -> None:
    result = potoo("calibrate", "scaler", "--models", models, "--data-dir", tmp_path / "data")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == f"potoo: {TAKES}"


def test_photos_are_refused(potoo: Potoo, models: Path, photos: Path) -> None:
    result = potoo("classify", photos / "red/a.png", "--json", "--models", models)
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert (shown["problem"], shown["code"]) == (NUMBERS, "unsupported")


def test_model_of_text_without_its_tokenizer_is_not_verified(potoo: Potoo, tmp_path: Path) -> None:
    folder = write_text_model(tmp_path / "models")
    (folder / "tokenizer.json").unlink()
    result = potoo("models", "verify", "--models", tmp_path / "models")
    assert result.exit_code == 1
    assert "manifest field input.tokenizer: " in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (scaler_graph(), "which may be rows of numbers: write a manifest with an input of numbers"),
        (scaler_graph(is_double=False), "may be rows of numbers: write a manifest with an input"),
        (mean_graph(), "which may be tokens of text: write a manifest with an input of text, and"),
        (mean_graph(has_mask=False), "may be tokens of text: write a manifest with an input of te"),
    ],
    ids=["double", "float", "text", "text without a mask"],
)
def test_graph_of_another_kind_is_not_added_as_a_model_of_images(
    potoo: Potoo, tmp_path: Path, graph: onnx.ModelProto, reason: str
) -> None:
    (tmp_path / "some.onnx").write_bytes(graph.SerializeToString())
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    result = potoo(
        *("models", "add", tmp_path / "some.onnx", "--name", "mine", "--like", "0-1"),
        *("--labels", tmp_path / "labels.txt", "--models", tmp_path / "new"),
    )
    failed(result, reason)


def test_values_are_no_kind_of_an_added_model(potoo: Potoo, tmp_path: Path) -> None:
    (tmp_path / "some.onnx").write_bytes(b"")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    result = potoo(
        *("models", "add", tmp_path / "some.onnx", "--name", "mine", "--kind", "values"),
        *("--labels", tmp_path / "labels.txt", "--models", tmp_path / "new"),
    )
    assert result.exit_code == 2
    assert "'values' is not one of" in result.stderr
