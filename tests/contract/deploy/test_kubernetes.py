"""The Kubernetes manifests match their schemas, and generated ones are up to date."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tests.support.deploy.custom_resources import SCHEMAS
from tests.support.deploy.manifest_files import (
    PATCHES,
    ROOT,
    VALUES,
    Object,
    committed,
    kustomized,
    only,
)
from tools.prometheus import prometheus_rule
from tools.thresholds.__main__ import main

OLDEST = "1.31"
"""The oldest version with all used fields of disruption budgets and preStop."""
FILES = committed()
OVERLAYS = ("base", "overlays/production", "overlays/single", "calibrate")


def check(one: Object) -> None:
    """Validate an object; raise ValidationError, for unknown keys too."""
    if one["kind"] in SCHEMAS:
        jsonschema.Draft202012Validator(SCHEMAS[one["kind"]]).validate(one)
    else:
        for version in (OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("path", FILES)
def test_every_manifest_matches_its_schema(path: str) -> None:
    assert FILES[path]
    for one in FILES[path]:
        check(one)


@pytest.mark.parametrize("path", sorted(PATCHES))
def test_patch_targets_an_existing_object(path: str) -> None:
    patch = yaml.safe_load((ROOT / path).read_text())
    kinds = {(one["kind"], one["metadata"]["name"]) for found in FILES.values() for one in found}
    assert (patch["kind"], patch["metadata"]["name"]) in kinds


def wrong(kind: str, where: tuple[str | int, ...], value: object) -> Object:
    """The object of that kind, with another value somewhere."""
    (found, *_) = [one for of in FILES.values() for one in of if one["kind"] == kind]
    changed = copy.deepcopy(found)
    part: Any = changed
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("kind", "where", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "automountToken"), False),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "ports", 0, "port"), 1),
        ("NetworkPolicy", ("spec", "ingress", 0, "ports", 0, "name"), "http"),
        ("ScaledObject", ("spec", "triggers", 0, "metadata", "ignoreNullValues"), False),
        ("ScaledObject", ("spec", "fallback", "behaviour"), "static"),
        ("HTTPRoute", ("spec", "rules", 0, "timeout"), "60s"),
        ("GRPCRoute", ("spec", "rules", 0, "timeouts"), {"request": "60s"}),
        ("Gateway", ("spec", "listeners", 0, "host"), "potoo.example"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "interval"), 5),
        ("Issuer", ("spec", "acme", "solvers"), []),
        ("ClientTrafficPolicy", ("spec", "connection", "bufferLimit"), 8),
        ("BackendTrafficPolicy", ("spec", "healthCheck", "active", "type"), "GRPC"),
        ("PrometheusRule", ("spec", "groups"), [{"name": "a", "rules": [{"expr": "1"}]}]),
    ],
)
def test_schemas_detect_mistakes(kind: str, where: tuple[str | int, ...], value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(wrong(kind, where, value))


def test_threshold_manifests_match_the_document(tmp_path: Path) -> None:
    document = ROOT.parent / "autoscaling.yaml"
    assert main([str(document), "--output", str(tmp_path)]) == 0
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) == 4
    for path in made:
        kept = ROOT / "components" / path.relative_to(tmp_path)
        assert kept.read_text() == path.read_text(), "run `make thresholds`"


def test_prometheus_rule_manifest_matches_the_alert_rules() -> None:
    if not prometheus_rule.RULES.is_dir():
        pytest.skip("there are no rules for Prometheus yet")
    made = prometheus_rule.prometheus_rule(prometheus_rule.RULES)
    assert prometheus_rule.OUTPUT.read_text() == made, "run `make thresholds`"


def test_a_rule_file_without_groups_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("groups:\n  - {name: a, rules: []}\n")
    assert "name: a" in prometheus_rule.prometheus_rule(tmp_path)
    (tmp_path / "b.yaml").write_text("alerts: []\n")
    with pytest.raises(prometheus_rule.NoRules, match="there are no groups of rules"):
        prometheus_rule.prometheus_rule(tmp_path)


def test_every_external_metric_of_the_autoscaler_has_a_rule() -> None:
    (path,) = VALUES
    rules = yaml.safe_load((ROOT / path).read_text())["rules"]["external"]
    (autoscaler,) = FILES["components/hpa/autoscaler.yaml"]
    asked = {
        metric["external"]["metric"]["name"]
        for metric in autoscaler["spec"]["metrics"]
        if metric["type"] == "External"
    }
    assert asked == {rule["name"]["as"] for rule in rules}


@pytest.mark.process
@pytest.mark.parametrize("folder", OVERLAYS)
def test_built_overlays_match_the_schemas(folder: str) -> None:
    for one in kustomized(ROOT / folder):
        check(one)


@pytest.mark.process
def test_sensors_reach_their_port_past_the_gateway(tmp_path: Path) -> None:
    built = combined(tmp_path, "sensors")
    service = only("Service", built, "potoo-sensors")
    policy = only("NetworkPolicy", built, "potoo-sensors")
    (container,) = only("Deployment", built)["spec"]["template"]["spec"]["containers"]
    (port,) = [one for one in container["ports"] if one["name"] == "sensors"]
    settings = only("ConfigMap", built)["data"]
    assert int(settings["POTOO_SENSORS__TCP_PORT"]) == port["containerPort"]
    assert [one["targetPort"] for one in service["spec"]["ports"]] == ["sensors"]
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"port": "sensors"}]
    permitted = [peer["ipBlock"]["cidr"] for peer in rule["from"]]
    assert permitted == service["spec"]["loadBalancerSourceRanges"]
    assert {"http", "grpc"} < {one["name"] for one in container["ports"]}


def combined(folder: Path, *components: str) -> list[Object]:
    """The base with components, checked."""
    root = os.path.relpath(ROOT, folder.resolve())  # kustomize takes no absolute paths
    kustomization = {
        "namespace": "potoo",
        "resources": [f"{root}/base"],
        "components": [f"{root}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = kustomized(folder)
    for one in built:
        check(one)
    return built


@pytest.mark.process
@pytest.mark.parametrize("autoscaler", ["keda", "hpa"])
def test_either_autoscaler_can_be_chosen(autoscaler: str, tmp_path: Path) -> None:
    built = combined(tmp_path, autoscaler, "monitoring")
    assert {one["kind"] for one in built} & {"ScaledObject", "HorizontalPodAutoscaler"} == {
        {"keda": "ScaledObject", "hpa": "HorizontalPodAutoscaler"}[autoscaler]
    }
