"""Metrics: unique, named by Prometheus' conventions, with bounded labels."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from observability.metrics.metrics import (
    GRPC_SERVER_FAULTS,
    REJECTIONS,
    Metrics,
    bounded_method,
)
from observability.metrics.model_metrics import STAGES
from observability.metrics.worker_metrics import MULTIPROCESS_FOLDER
from schemas.drift import DriftVerdict, Quantity, QuantityDrift, SourceDrift
from schemas.errors import ErrorCode
from schemas.rollout import Rollout, RolloutMode
from tests.support.repository import ROOT

ROW = re.compile(r"^\| (?P<names>`[^|]*`) \|(?P<labels>[^|]*)\|", re.MULTILINE)
NAME = re.compile(r"`([\w.]+)`")
BEGUN = datetime(2026, 12, 1, tzinfo=UTC)
DRIFT = SourceDrift(
    version=2,
    source="requests",
    verdict=DriftVerdict.DRIFTED,
    reference="live",
    answers=9,
    since=BEGUN,
    quantities=[
        QuantityDrift(
            quantity=Quantity.ABSTAINED,
            verdict=DriftVerdict.DRIFTED,
            psi=0.5,
            chance_psi=0.1,
            ks=0.4,
            edges=(0.5,),
            now=(4, 5),
            reference=(9, 0),
        )
    ],
)
UNITS = (
    "_seconds",
    "_bytes",
    "_total",
    "_info",
    "_size",
    "_depth",
    "_ready",
    "_up",
    "_in_flight",
    "_state",
    "_silent",
    "_ratio",
)
"""Suffixes of metric names; failures are counters, so theirs is ``_total``."""


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MULTIPROCESS_FOLDER, raising=False)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    made.preset_errors(ErrorCode)
    made.build_info.labels("1.2.3", "pillow").set(1)
    made.http("/v1/classify").requests("POST", 200).inc()
    made.grpc("potoo.v1.ModelService/Predict").requests("OK").inc()
    made.models.version("colours", 1, "ab" * 32).predictions("http").inc()
    made.models.life("colours").ready.set(1)
    made.models.life("colours").state(1, "READY").set(1)
    made.token_requests.labels("password", "issued").inc()
    made.audit_events.labels("sign_in").inc()
    made.issuer_up.labels("corp").set(1)
    made.cameras.begin("door")
    made.cameras.last_frame.labels("door").set(1)
    made.cameras.failures.labels("door", "timeout").inc()
    made.cameras.set_state("door", "open")
    made.sensors.begin("pump")
    made.sensors.count_samples("pump", "tcp", 7)
    made.sensors.count_fault("pump", "gap")
    made.sensors.set_state("pump", "worn")
    made.results.output("mqtt", "mqtt").backlog(1, 2.0)
    made.rollouts.begin("a", Rollout(mode=RolloutMode.CANARY, version=2, begun=BEGUN, by="anna"))
    made.drift.show("a", 2, "requests", DRIFT)
    return made


def families(metrics: Metrics, accept: str = "text/plain") -> dict[str, Metric]:
    body, _ = metrics.exposition(accept)
    parse = parse_openmetrics if "openmetrics" in accept else parse_text
    return {family.name: family for family in parse(body.decode())}


def test_every_metric_has_help_type_and_unit(metrics: Metrics) -> None:
    ours = [family for name, family in families(metrics).items() if name.startswith("potoo_")]
    assert len(ours) >= 17
    for family in ours:
        assert family.documentation.endswith((".", "label.")), family.name
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert names == {f"{family.name}_total"}
        if family.type != "histogram":
            assert all(name.endswith(UNITS) for name in names), names


def test_process_metrics_are_included(metrics: Metrics) -> None:
    assert {"process_cpu_seconds", "python_info", "python_gc_collections"} <= set(families(metrics))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version="),
        ("*/*", "text/plain; version="),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version="),
    ],
)
def test_both_text_formats_are_supported(metrics: Metrics, accept: str, content_type: str) -> None:
    _, answered = metrics.exposition(accept)
    assert answered.startswith(content_type)
    found = families(metrics, accept)
    assert found["potoo_predictions"].samples[0].value == 1


def test_creation_time_series_are_disabled(metrics: Metrics) -> None:
    body, _ = metrics.exposition("application/openmetrics-text")
    assert b"_created" not in body


def test_known_labels_exist_before_the_first_event(metrics: Metrics) -> None:
    value = metrics.registry.get_sample_value
    for code in ErrorCode:
        assert value("potoo_errors_total", {"code": code}) == 0
    for reason in REJECTIONS:
        assert value("potoo_rejections_total", {"reason": reason}) == 0
    for stage in STAGES:
        labels = {"model": "colours", "stage": stage}
        assert value("potoo_stage_duration_seconds_count", labels) == 0
    for status in ("OK", *GRPC_SERVER_FAULTS):
        labels = {"method": "potoo.v1.ModelService/Predict", "code": status}
        assert value("potoo_grpc_requests_total", labels) == (status == "OK")
    for status_class in ("2xx", "5xx"):
        labels = {"route": "/v1/classify", "status_class": status_class}
        assert value("potoo_http_request_duration_seconds_count", labels) == 0


def documented_labels() -> dict[str, set[str]]:
    """The labels of each of our metrics, by its name in the operator's guide."""
    found = {}
    for row in ROW.finditer((ROOT / "docs/operating/operator.md").read_text()):
        for name in NAME.findall(row["names"]):
            # "..response_body_bytes_total" stands beside a name with the same beginning.
            full = name.replace("..", "potoo_http_")
            found[full] = {label.strip() for label in row["labels"].split(",")} - {""}
    return {name: labels for name, labels in found.items() if name.startswith("potoo_")}


def test_metric_labels_are_the_documented_ones(metrics: Metrics) -> None:
    metrics.http("/v1/classify").duration(2).observe(0.1)
    metrics.certificate_expiry.labels("grpc").set(1)
    found = families(metrics)
    labels = {
        name: set().union(*(sample.labels for sample in family.samples)) - {"le"}
        for name, family in found.items()
        if name.startswith("potoo_")
    }
    documented = documented_labels()
    for name, family in found.items():
        if name.startswith("potoo_"):
            full = f"{name}_total" if family.type == "counter" else name
            assert (full, labels[name]) == (full, documented.pop(full, None))
    assert not documented


def test_histogram_buckets_increase_to_infinity(metrics: Metrics) -> None:
    metrics.http("/v1/classify").duration(2).observe(0.1)
    for family in families(metrics).values():
        if family.type != "histogram":
            continue
        series: dict[tuple[tuple[str, str], ...], list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                others = tuple((k, v) for k, v in sample.labels.items() if k != "le")
                series.setdefault(others, []).append(float(sample.labels["le"]))
        for bounds in series.values():
            assert bounds == sorted(set(bounds))
            assert bounds[-1] == math.inf


def test_series_are_cached(metrics: Metrics) -> None:
    series = metrics.http("/v1/classify")
    assert series.duration(2) is series.duration(2)
    assert series.requests("GET", 200) is series.requests("GET", 200)
    assert series.requests("GET", 200) is not series.requests("GET", 404)


def test_metrics_of_two_servers_are_separate() -> None:
    registry = CollectorRegistry()
    first, second = Metrics(registry), Metrics()
    first.reject("deadline")
    labels = {"reason": "deadline"}
    assert first.registry is registry
    assert registry.get_sample_value("potoo_rejections_total", labels) == 1
    assert second.registry.get_sample_value("potoo_rejections_total", labels) == 0


@pytest.mark.parametrize(
    ("method", "label"),
    [("GET", "GET"), ("POST", "POST"), ("get", "other"), ("BREW", "other"), ("", "other")],
)
def test_unknown_methods_share_one_label(method: str, label: str) -> None:
    assert bounded_method(method) == label
