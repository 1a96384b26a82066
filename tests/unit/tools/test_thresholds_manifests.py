"""The generated manifests match the thresholds document."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tools.test_thresholds_document import MADE
from tools.thresholds.document import Site, Thresholds
from tools.thresholds.manifests import manifests
from tools.thresholds.queries import triggers

DOCUMENT: dict[str, Any] = yaml.safe_load(MADE)
SITE = Site(prometheus="http://prometheus:9090", usual_peak=4, max_replicas=10)


def made(thresholds: Thresholds, site: Site = SITE) -> dict[str, Any]:
    """Every manifest by its path, parsed from its text."""
    return {
        manifest.path: yaml.safe_load(manifest.text("deploy/autoscaling.yaml"))
        for manifest in manifests(thresholds, site)
    }


def test_keda_and_hpa_use_the_same_queries_and_bounds() -> None:
    manifest = made(Thresholds.model_validate(DOCUMENT))
    scaled, plain = manifest["keda/scaledobject.yaml"], manifest["hpa/autoscaler.yaml"]
    rules = manifest["hpa/prometheus-adapter-values.yaml"]["rules"]["external"]
    *asked, cpu = scaled["spec"]["triggers"]
    *metrics, resource = plain["spec"]["metrics"]
    queries = {rule["name"]["as"]: rule["metricsQuery"] for rule in rules}
    assert [
        (
            queries[metric["external"]["metric"]["name"]],
            metric["external"]["target"]["averageValue"],
        )
        for metric in metrics
    ] == [(trigger["metadata"]["query"], trigger["metadata"]["threshold"]) for trigger in asked]
    assert cpu["metadata"]["value"] == str(resource["resource"]["target"]["averageUtilization"])
    behaviour = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behaviour == plain["spec"]["behavior"]
    assert scaled["spec"]["minReplicaCount"] == plain["spec"]["minReplicas"] == 2
    assert scaled["spec"]["maxReplicaCount"] == plain["spec"]["maxReplicas"] == 10


def test_autoscaler_falls_back_when_metrics_are_missing() -> None:
    scaled = made(Thresholds.model_validate(DOCUMENT))["keda/scaledobject.yaml"]["spec"]
    assert scaled["fallback"]["replicas"] == SITE.usual_peak
    *asked, _ = scaled["triggers"]
    assert {trigger["metadata"]["ignoreNullValues"] for trigger in asked} == {"false"}
    # The only metric type with fallback in all versions of KEDA.
    assert {trigger["metricType"] for trigger in asked} == {"AverageValue"}
    # Another constant would be an answer without data.
    assert not any("vector(" in trigger["metadata"]["query"] for trigger in asked)


def test_replica_matches_the_measured_settings() -> None:
    spec = made(Thresholds.model_validate(DOCUMENT))["measured/replica.yaml"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert env["POTOO_INFERENCE__WORKERS"] == "3"
    assert json.loads(env["POTOO_INFERENCE__MODELS"]) == {"everyday": {"max_batch_size": 4}}
    assert container["resources"]["requests"]["cpu"] == "2"


def test_queries_select_only_pods_of_the_namespace() -> None:
    quoting = DOCUMENT | {
        "triggers": DOCUMENT["triggers"]
        | {
            "in_flight": {
                "target": 1,
                "query": r"""sum(potoo_a) + potoo_b{x="potoo_c{",y='potoo_d'} + potoo_e{ z="\"potoo_f"}""",
            }
        }
    }
    first, *others = triggers(Thresholds.model_validate(quoting), "staging")
    assert first.query == (
        """sum(potoo_a{namespace="staging"}) + potoo_b{namespace="staging",x="potoo_c{",y='potoo_d'}"""
        r""" + potoo_e{namespace="staging",z="\"potoo_f"}"""
    )
    for trigger in others:
        assert trigger.query.count("potoo_") == trigger.query.count('{namespace="staging",')


queries = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" "), min_size=1
).filter(lambda text: text.strip() and "<<" not in text)


@given(
    model=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
    query=queries,
    target=st.integers(1, 1_000_000),
    threshold=st.floats(1e-6, 1e6),
    cores=st.integers(1, 4096),
    step=st.integers(11, 1000),
)
def test_manifests_match_any_thresholds_document(
    model: str, query: str, target: int, threshold: float, cores: int, step: int
) -> None:
    document = yaml.safe_load(MADE)
    document["model"], document["measured_on"]["cores"] = model, cores
    document["triggers"]["in_flight"] = {"target": target, "query": query}
    document["triggers"]["demand"] = {"target_per_second": threshold, "query": query}
    document["behaviour"]["step_percent"] = step
    thresholds = Thresholds.model_validate(document)
    asked = list(triggers(thresholds, SITE.namespace))
    manifest = made(thresholds)
    *found, _ = manifest["keda/scaledobject.yaml"]["spec"]["triggers"]
    assert [trigger["metadata"]["query"] for trigger in found] == [one.query for one in asked]
    assert found[0]["metadata"]["threshold"] == str(target)
    assert float(found[1]["metadata"]["threshold"]) == threshold
    rules = manifest["hpa/prometheus-adapter-values.yaml"]["rules"]["external"]
    assert [rule["metricsQuery"] for rule in rules] == [one.query for one in asked]
    replica = manifest["measured/replica.yaml"]["spec"]["template"]["spec"]["containers"][0]
    assert replica["resources"]["requests"]["cpu"] == str(cores)
    assert list(json.loads(replica["env"][1]["value"])) == [model]
