"""Series of sensors: bounded in number, and removed with the sensor."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from observability.metrics.sensor_metrics import LABELLED, MAX_STATES, OTHER, SensorMetrics
from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    monkeypatch.delenv(MULTIPROCESS_FOLDER, raising=False)
    return CollectorRegistry()


def labels(registry: CollectorRegistry, label: str) -> set[str]:
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.labels[label] for sample in samples if label in sample.labels}


def test_further_sensors_share_a_label(registry: CollectorRegistry) -> None:
    metrics, value = SensorMetrics(registry), registry.get_sample_value
    for number in range(LABELLED + 10):
        name = f"sensor-{number}"
        metrics.begin(name)
        metrics.count_samples(name, "tcp", 5)
        metrics.count_windows(name, 2)
        metrics.count_gap(name, 3)
        metrics.count_fault(name, "gap", 4)
        metrics.set_silent(name, is_silent=number % 2 == 0)
        metrics.set_state(name, "worn")
    assert len(labels(registry, "sensor")) == LABELLED + 1
    other = {"sensor": OTHER}
    assert value("potoo_sensor_samples_total", {**other, "door": "tcp"}) == 50
    assert value("potoo_sensor_windows_total", other) == 20
    assert value("potoo_sensor_gaps_total", other) == 10
    assert value("potoo_sensor_missing_samples_total", other) == 30
    assert value("potoo_sensor_faults_total", {**other, "reason": "gap"}) == 40
    assert value("potoo_sensor_silent", other) == 5
    assert value("potoo_sensor_silent", {"sensor": "sensor-0"}) == 1
    assert value("potoo_sensor_silent", {"sensor": "sensor-1"}) == 0
    assert value("potoo_sensor_state", {**other, "state": "worn"}) is None
    metrics.end(f"sensor-{LABELLED}")
    assert value("potoo_sensor_silent", other) == 4


def test_series_of_a_removed_sensor_go_and_leave_a_label(registry: CollectorRegistry) -> None:
    metrics = SensorMetrics(registry)
    for number in range(LABELLED):
        metrics.begin(f"sensor-{number}")
    metrics.count_samples("sensor-0", "mqtt", 1)
    metrics.count_fault("sensor-0", "late")
    metrics.set_state("sensor-0", "worn")
    metrics.end("sensor-0")
    assert "sensor-0" not in labels(registry, "sensor")
    metrics.begin("pump")
    assert "pump" in labels(registry, "sensor")


def test_states_are_bounded(registry: CollectorRegistry) -> None:
    metrics, value = SensorMetrics(registry), registry.get_sample_value
    for number in range(MAX_STATES + 5):
        metrics.set_state("pump", f"state {number}")
    assert len(labels(registry, "state")) == MAX_STATES + 1
    assert value("potoo_sensor_state", {"sensor": "pump", "state": OTHER}) == 1
    assert value("potoo_sensor_state", {"sensor": "pump", "state": "state 0"}) == 0
