"""``potoo models add``: refusals, dry runs, ``--no-promote``, and messages."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from typer.testing import Result

from schemas.models import ModelManifest
from schemas.serving import POLICY_FILE
from service.core.repository.repository import Repository
from tests.support.models.pictures import RED, plain
from tests.support.models.tiny_model import LABELS, colour_graph, multi_label_graph, write_model
from tests.unit.cli.conftest import Potoo, failed


class Desk:
    """An ONNX file, labels and a photo, and ``potoo models add`` with them."""

    def __init__(self, potoo: Potoo, folder: Path) -> None:
        self.folder, self.models, self.photo = folder, folder / "models", folder / "red.png"
        self._potoo = potoo
        (folder / "labels.json").write_text(json.dumps(dict(enumerate(LABELS))))
        self.photo.write_bytes(plain(RED))
        self.write(colour_graph())

    def write(self, graph: onnx.ModelProto) -> None:
        (self.folder / "some.onnx").write_bytes(graph.SerializeToString())

    def add(self, *more: str | Path, name: str = "mine") -> Result:
        return self._potoo(
            *("models", "add", self.folder / "some.onnx", "--name", name),
            *("--labels", self.folder / "labels.json", "--models", self.models, *more),
        )

    def manifest(self, name: str = "mine", version: int = 1) -> ModelManifest:
        text = (self.models / name / str(version) / "manifest.json").read_bytes()
        return ModelManifest.model_validate_json(text)


@pytest.fixture
def desk(potoo: Potoo, tmp_path: Path) -> Desk:
    return Desk(potoo, tmp_path)


def test_wrong_golden_answer_is_reported_and_adds_nothing(desk: Desk) -> None:
    result = desk.add("--like", "caffe", "--golden", f"{desk.photo}=red")
    failed(result, "red.png: the model answers 'blue' (100.0%), not 'red' (0.0%) as expected")
    assert list(desk.models.iterdir()) == []


def test_options_override_the_preset(desk: Desk) -> None:
    result = desk.add(
        *("--like", "imagenet", "--colour", "bgr", "--scale", "1/255", "--mean", "0,0.1,0.2"),
        *("--std", "2", "--resize", "crop:40", "--golden", f"{desk.photo}=blue"),
    )
    assert result.exit_code == 0, result.output
    spec = desk.manifest().image_input
    assert (spec.colour, spec.scale, spec.mean, spec.std) == ("BGR", 1 / 255, (0, 0.1, 0.2), (2,))
    assert spec.resize.model_dump()["pixels"] == 40
    assert "What is said otherwise goes before it" in result.stdout


def test_numeric_options_need_no_preset(desk: Desk) -> None:
    assert desk.add("--scale", "1/255").exit_code == 0
    failed(desk.add("--resize", "squash"), "give --like")


def test_dry_run_compares_presets_and_adds_nothing(desk: Desk) -> None:
    result = desk.add("--dry-run", "--try", desk.photo, "--like", "0-1")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if not line.startswith("note: ")]
    assert lines[0].split() == ["photo", "preset", "best", "answers"]
    assert [line.split()[2] for line in lines if line.startswith("*")] == ["0-1"]
    assert lines[-1] == "nothing was added; * marks the requested preprocessing"
    assert not desk.models.exists()
    result = desk.add("--dry-run", "--golden", f"{desk.photo}=red")
    assert result.stdout.splitlines()[-1] == "nothing was added; choose a preset with --like"


def test_try_option_and_dry_run_require_each_other(desk: Desk) -> None:
    failed(desk.add("--like", "0-1", "--try", desk.photo), "--try needs --dry-run")
    failed(desk.add("--dry-run"), "give some with --try PHOTO")


def test_multi_label_model_is_added_with_its_threshold(desk: Desk) -> None:
    desk.write(multi_label_graph())
    result = desk.add("--like", "0-1", "--threshold", "0.7")
    assert "a label is present from 0.7 on" in result.stdout
    output = desk.manifest().output
    assert (output.kind, output.thresholds) == ("sigmoid", (0.7,))
    failed(desk.add("--like", "0-1", "--kind", "logits", "--threshold", "0.7"), "for multi-label")


def test_uncalibrated_model_is_noted_once(desk: Desk) -> None:
    told = desk.add("--like", "0-1").stdout
    assert told.count("note: uncalibrated: scores are as the network gives them; ") == 1
    assert "'potoo models calibrate mine --images DIR'" in told


def test_no_promote_keeps_the_current_default_version(desk: Desk, potoo: Potoo) -> None:
    for version in (1, 2):
        write_model(desk.models, version=version)
    write_model(desk.models, version=3, sha256="0" * 64)
    result = desk.add("--like", "0-1", "--no-promote", name="colours")
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()[-1]
    assert last.endswith("version 2 stays the default until 'potoo models promote colours 4'")
    policy = Repository(desk.models).policy("colours")
    assert (policy.default, policy.enabled) == (2, True)
    potoo("models", "promote", "colours", "4", "--models", desk.models)
    back = potoo("models", "rollback", "colours", "--models", desk.models)
    assert back.stdout == "colours: version 2 is the default\n"


def test_new_model_with_no_promote_stays_unloaded(desk: Desk, potoo: Potoo) -> None:
    last = desk.add("--like", "0-1", "--no-promote").stdout.splitlines()[-1]
    assert last.endswith("it is not loaded until 'potoo models promote mine 1'")
    assert json.loads((desk.models / "mine" / POLICY_FILE).read_text()) == {"enabled": False}
    potoo("models", "promote", "mine", "1", "--models", desk.models)
    assert Repository(desk.models).policy("mine").enabled


def test_a_disabled_model_stays_disabled(desk: Desk) -> None:
    write_model(desk.models)
    (desk.models / "colours" / POLICY_FILE).write_text('{"enabled": false}')
    last = desk.add("--like", "0-1", "--no-promote", name="colours").stdout.splitlines()[-1]
    assert "it is not loaded until" in last
    assert not Repository(desk.models).policy("colours").enabled


def test_refused_add_changes_no_policy(desk: Desk) -> None:
    write_model(desk.models)
    arguments = ("--like", "0-1", "--no-promote", "--golden", f"{desk.photo}=blue")
    failed(desk.add(*arguments, name="colours"), "not 'blue'")
    assert not (desk.models / "colours" / POLICY_FILE).exists()
