"""Reading of a thresholds document, and one-line errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from service.calibrate.thresholds import as_yaml
from service.core.serving.calibration import Calibrated, Knee, Machine
from service.core.settings import RunSettings
from tools.thresholds.__main__ import main
from tools.thresholds.document import BadThresholds, read_thresholds, site

MADE = as_yaml(
    "everyday",
    Calibrated(
        version=3,
        sha256="0" * 64,
        objective_p95_ms=200,
        knee=Knee(in_flight=118, images_per_second=611.7, p95_ms=193.4),
        run=RunSettings(max_batch_size=4),
    ),
    Machine(processor='Some "fast" one: X', cores=2, onnxruntime="1.31"),
    threads=3,
)
PROMETHEUS = "http://prometheus:9090"


def written(folder: Path, text: str) -> Path:
    path = folder / "autoscaling.yaml"
    path.write_text(text)
    return path


def changed(folder: Path, where: str, value: object) -> Path:
    """The document with another value at a dotted path; ``...`` removes it."""
    document: Any = yaml.safe_load(MADE)
    part, (*parents, last) = document, where.split(".")
    for parent in parents:
        part = part[parent]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return written(folder, yaml.safe_dump(document))


def test_generated_thresholds_are_read(tmp_path: Path) -> None:
    thresholds = read_thresholds(written(tmp_path, MADE))
    assert thresholds.model == "everyday"
    assert (thresholds.measured_on.cores, thresholds.replica.threads) == (2, 3)
    assert thresholds.replica.settings == {"max_batch_size": 4}
    assert thresholds.triggers.in_flight.target == 82
    assert thresholds.behaviour.scale_down.percent == 25


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    assert read_thresholds(changed(tmp_path, "triggers.tomorrow", {"a": 1})).model == "everyday"


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        ("model", ..., "model: Field required"),
        ("model", "../etc", "model: String should match"),
        ("model", "a b", "model: String should match"),
        ("measured_on.cores", 0, "measured_on.cores: Input should be greater than"),
        ("replica", ..., "replica: Field required"),
        ("replica.settings", {"max_batch": 4}, "replica.settings.max_batch: Extra inputs"),
        ("replica.settings", {"max_batch_size": -1}, "replica.settings.max_batch_size: Input"),
        ("triggers.in_flight.target", 0, "triggers.in_flight.target: Input should be greater"),
        ("triggers.in_flight.target", "82", "triggers.in_flight.target: Input should be a valid"),
        ("triggers.in_flight.target", True, "triggers.in_flight.target: Input should be a valid"),
        ("triggers.in_flight.query", "  ", "triggers.in_flight.query: Value error, this must be"),
        ("triggers.in_flight.query", "up\x07", "triggers.in_flight.query: Value error, this must"),
        ("triggers.in_flight.query", "<<.Series>>", "'<<' means something to prometheus-adapter"),
        ("triggers.in_flight.query", "x" * 3000, "triggers.in_flight.query: String should have"),
        ("triggers.demand.target_per_second", float("nan"), "target_per_second: Input should"),
        ("triggers.demand.target_per_second", float("inf"), "target_per_second: Input should"),
        ("triggers.demand", ..., "triggers.demand: Field required"),
        ("triggers.cpu.utilisation_percent", 175, "triggers.cpu.utilisation_percent: Input should"),
        ("behaviour.step_percent", 10, "behaviour.step_percent: Input should be greater than 10"),
        ("behaviour.scale_up.period_seconds", 0, "behaviour.scale_up.period_seconds: Input"),
        ("behaviour.scale_down.stabilisation_seconds", 7200, "stabilisation_seconds: Input should"),
    ],
)
def test_invalid_value_is_named(tmp_path: Path, where: str, value: object, said: str) -> None:
    path = changed(tmp_path, where, value)
    with pytest.raises(BadThresholds) as refused:
        read_thresholds(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "Input should be a valid dictionary"),
        (b"- a\n- b\n", "Input should be a valid dictionary"),
        (b"a: [1\nb: 2\n", "this is not YAML in line 2"),
        (b"a: !!python/object/apply:os.system [ls]", "this is not YAML in line 1"),
        (b"\xff\xfe\x00", "this is not UTF-8"),
        (b"[" * 10_000, "this is nested too deeply"),
        (b"a: 2026-99-99", "month must be in 1..12"),
    ],
)
def test_malformed_document_is_reported_in_one_line(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "autoscaling.yaml"
    path.write_bytes(text)
    with pytest.raises(BadThresholds) as refused:
        read_thresholds(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_document_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BadThresholds, match="No such file"):
        read_thresholds(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"usual_peak": 11}, "the usual peak is more than max_replicas"),
        ({"usual_peak": 1}, "usual_peak: 1 is less than the least number of replicas, 2"),
        ({"max_replicas": 0}, "max_replicas: Input should be greater"),
        ({"namespace": "Potoo"}, "namespace: String should match"),
        ({"namespace": 'a"} or up{b="'}, "namespace: String should match"),
        ({"prometheus": "prometheus:9090"}, "prometheus: String should match"),
    ],
)
def test_invalid_site_is_reported(tmp_path: Path, given: dict[str, object], said: str) -> None:
    thresholds = read_thresholds(written(tmp_path, MADE))
    fitting = {"usual_peak": 4, "max_replicas": 10, "prometheus": PROMETHEUS}
    with pytest.raises(BadThresholds, match=said):
        site(thresholds, **(fitting | given))


def test_command_reports_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(tmp_path, "triggers.in_flight.target", -1)
    assert main([str(path), "--output", str(tmp_path / "made")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert not (tmp_path / "made").exists()
