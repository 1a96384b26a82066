"""The thresholds file is YAML with the measured values."""

from __future__ import annotations

import yaml

from observability.metrics.metrics import Metrics
from service.calibrate.thresholds import as_yaml
from service.core.serving.calibration import Calibrated, Knee, Machine
from service.core.settings import RunSettings

FOUND = Calibrated(
    version=3,
    sha256="0" * 64,
    objective_p95_ms=200,
    knee=Knee(in_flight=118, images_per_second=611.7, p95_ms=193.4),
    run=RunSettings(),
)
MACHINE = Machine(processor='Some "fast" one: X', cores=2, onnxruntime="1.31")


def test_thresholds_follow_from_the_knee() -> None:
    document = yaml.safe_load(as_yaml("everyday", FOUND, MACHINE))
    assert (document["model"], document["version"]) == ("everyday", 3)
    assert document["measured_on"]["processor"] == MACHINE.processor
    assert document["capacity"] == {
        "in_flight": 118,
        "images_per_second": 611.7,
        "p95_seconds": 0.1934,
    }
    assert document["triggers"]["in_flight"]["target"] == 82  # 0.7 of 118, rounded down
    assert document["triggers"]["demand"]["target_per_second"] == 428.2  # 0.7 of 611.7
    assert document["alerts"]["queue_wait"]["threshold_seconds"] == 0.05
    assert document["alerts"]["latency"]["p95_seconds"] == 0.2
    assert document["behaviour"]["scale_down"]["stabilisation_seconds"] == 300


def test_thresholds_name_threads_and_settings_of_the_replica() -> None:
    found = FOUND.model_copy(update={"run": RunSettings(max_batch_size=4)})
    document = yaml.safe_load(as_yaml("everyday", found, MACHINE, threads=3))
    assert document["replica"] == {"threads": 3, "settings": {"max_batch_size": 4}}
    assert yaml.safe_load(as_yaml("everyday", FOUND, MACHINE))["replica"]["threads"] == 2


def test_scaling_queries_require_several_concurrent_callers() -> None:
    document = yaml.safe_load(as_yaml("everyday", FOUND, MACHINE))
    # Refused while every replica held less than half of its target: no more are needed.
    assert document["triggers"]["rejections"]["query"].endswith(">= 41")
    assert document["triggers"]["demand"]["query"].endswith(">= bool 41)")


def test_thresholds_fit_into_a_kubernetes_termination_message() -> None:
    machine = Machine(processor="P" * 200, cores=4096, onnxruntime="1.31.100")
    assert len(as_yaml("m" * 64, FOUND, machine).encode()) < 4096


def test_tiny_machine_has_a_target_of_one() -> None:
    knee = Knee(in_flight=1, images_per_second=2, p95_ms=500)
    found = FOUND.model_copy(update={"knee": knee})
    assert yaml.safe_load(as_yaml("m", found, MACHINE))["triggers"]["in_flight"]["target"] == 1


def test_every_query_uses_existing_metrics() -> None:
    metrics = Metrics()
    metrics.models.version("everyday", 3, "0")
    metrics.http("/v1/classify")
    text, _ = metrics.exposition("")
    names = {line.split("{")[0].split(" ")[0] for line in text.decode().splitlines()}
    document = yaml.safe_load(as_yaml("everyday", FOUND, MACHINE))
    entries = [*document["triggers"].values(), *document["alerts"].values()]
    queries = [entry["query"] for entry in entries if "query" in entry]
    assert len(queries) == 6
    for query in queries:
        named = {
            word for word in query.replace("{", " ").replace("(", " ").split() if "potoo" in word
        }
        assert named
        assert named <= names, query
