"""Thresholds and objectives as Prometheus series."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from service.calibrate.thresholds import as_yaml
from service.core.serving.calibration import Calibrated, Knee, Machine
from service.core.settings import RunSettings
from tests.support.deploy.rules import RULES, rules
from tools.prometheus import thresholds
from tools.prometheus.thresholds import Objectives, bucket_for
from tools.thresholds.document import Thresholds

PROMISED = Objectives(availability=0.99, latency_share=0.9)


def measured(objective_ms: float = 300, in_flight: int = 20) -> Thresholds:
    """Values read from the document that ``potoo calibrate`` writes."""
    knee = Knee(in_flight=in_flight, images_per_second=100, p95_ms=objective_ms)
    found = Calibrated(
        version=1, sha256="ab" * 32, objective_p95_ms=objective_ms, knee=knee, run=RunSettings()
    )
    written = as_yaml("birds", found, Machine(processor="any", cores=2, onnxruntime="1.0"))
    return Thresholds.model_validate(yaml.safe_load(written))


def records(tmp_path: Path, autoscaling: Thresholds) -> dict[str, dict[str, object]]:
    path = tmp_path / "thresholds.yaml"
    path.write_text(thresholds.rules(autoscaling, PROMISED))
    return {rule["record"]: rule for rule in rules(path)}


def test_committed_thresholds_match_the_generated_file() -> None:
    shipped = (RULES / "thresholds.yaml").read_text()
    assert shipped == thresholds.read(), "python -m tools.prometheus.thresholds"


def test_capacity_and_objectives_become_recorded_series(tmp_path: Path) -> None:
    found = records(tmp_path, measured())
    assert found["potoo:capacity:in_flight"]["expr"] == "vector(20)"
    assert found["potoo:capacity:target"]["expr"] == "vector(14)"
    assert found["potoo:capacity:demand"]["expr"] == "vector(70.0)"
    assert found["potoo:capacity:target"]["labels"] == {"model": "birds"}
    assert found["potoo:objective:p95_seconds"]["expr"] == "vector(0.3)"
    assert found["potoo:objective:queue_wait_seconds"]["expr"] == "vector(0.075)"
    assert found["potoo:objective:availability"]["expr"] == "vector(0.99)"
    assert found["potoo:objective:latency_share"]["expr"] == "vector(0.9)"


def test_objective_between_buckets_uses_the_stricter_one(tmp_path: Path) -> None:
    assert [bucket_for(seconds) for seconds in (0.2, 0.3, 0.35, 1, 60)] == [0.2, 0.2, 0.35, 1, 30]
    in_time = records(tmp_path, measured(300))["job:potoo_classify_in_time:rate5m"]
    assert 'le="0.2"' in str(in_time["expr"])
    in_time = records(tmp_path, measured(1000))["job:potoo_classify_in_time:rate5m"]
    assert 'le="1.0"' in str(in_time["expr"])


def test_an_objective_below_every_bucket_is_refused() -> None:
    with pytest.raises(ValueError, match="as short as"):
        bucket_for(0.0005)


@pytest.mark.parametrize("wrong", [{"availability": 1}, {"latency_share": 0}, {"latency": 0.9}])
def test_unreachable_objectives_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Objectives.model_validate({"availability": 0.999, "latency_share": 0.95} | wrong)


def test_command_writes_to_the_output_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "thresholds.yaml"
    thresholds.main(["--output", str(output)])
    assert output.read_text() == thresholds.read()
    assert capsys.readouterr().out == f"{output}\n"
