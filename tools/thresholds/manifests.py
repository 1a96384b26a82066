"""The manifests: for KEDA, for the plain autoscaler with prometheus-adapter, for the replica."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tools.readable_yaml import readable_yaml
from tools.thresholds.document import Site, Thresholds
from tools.thresholds.queries import Trigger, triggers

NAME = "potoo"
HEADER = "# Made by `make thresholds` from {source}: change that, not this.\n"

Json = str | int | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file below ``deploy/kubernetes/components``."""

    path: str
    about: str
    content: Json

    def text(self, source: str) -> str:
        """Format the manifest as YAML."""
        about = "".join(f"# {line}\n" for line in self.about.splitlines())
        return f"{HEADER.format(source=source)}{about}{readable_yaml(self.content)}"


def manifests(thresholds: Thresholds, site: Site) -> Iterator[Manifest]:
    """Yield all manifests."""
    asked = list(triggers(thresholds, site.namespace))
    yield Manifest("keda/scaledobject.yaml", _ABOUT_KEDA, _scaled_object(thresholds, site, asked))
    yield Manifest("hpa/autoscaler.yaml", _ABOUT_HPA, _autoscaler(thresholds, site, asked))
    yield Manifest(
        "hpa/prometheus-adapter-values.yaml", _ABOUT_ADAPTER, _adapter_values(site, asked)
    )
    yield Manifest("measured/replica.yaml", _ABOUT_REPLICA, _replica(thresholds))


_ABOUT_KEDA = """\
Every answer / threshold is a number of replicas; the highest counts. An empty answer is a failure
(ignoreNullValues), after three of which the usual peak runs, or what runs already if that is more
(behavior needs KEDA 2.17). Answers are as old as pollingInterval (useCachedMetrics): without it the
autoscaler asks Prometheus itself, every 15 seconds."""


def _scaled_object(thresholds: Thresholds, site: Site, asked: list[Trigger]) -> Json:
    fallback: Json = {
        "failureThreshold": 3,
        "replicas": site.usual_peak,
        "behavior": "currentReplicasIfHigher",
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "pollingInterval": 10,
            "minReplicaCount": thresholds.behaviour.min_replicas,
            "maxReplicaCount": site.max_replicas,
            "fallback": fallback,
            "advanced": {
                "horizontalPodAutoscalerConfig": {"name": NAME, "behavior": _behaviour(thresholds)}
            },
            "triggers": [
                *(_keda_trigger(trigger, site) for trigger in asked),
                {
                    "type": "cpu",
                    "metricType": "Utilization",
                    "metadata": {"value": str(thresholds.triggers.cpu.utilisation_percent)},
                },
            ],
        },
    }


def _keda_trigger(trigger: Trigger, site: Site) -> Json:
    return {
        "type": "prometheus",
        "name": trigger.name,
        "metricType": "AverageValue",
        "useCachedMetrics": True,
        "metadata": {
            "serverAddress": site.prometheus,
            "query": trigger.query,
            "threshold": str(trigger.target),
            "ignoreNullValues": "false",
        },
    }


_ABOUT_HPA = """\
For clusters without KEDA. The external metrics are prometheus-adapter's (the values beside this).
While one of them is missing the number of replicas does not fall; there is no fallback."""


def _autoscaler(thresholds: Thresholds, site: Site, asked: list[Trigger]) -> Json:
    metrics: list[Json] = [
        {
            "type": "External",
            "external": {
                "metric": {"name": _external_name(trigger)},
                "target": {"type": "AverageValue", "averageValue": str(trigger.target)},
            },
        }
        for trigger in asked
    ]
    percent = thresholds.triggers.cpu.utilisation_percent
    cpu: Json = {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": percent},
    }
    metrics.append({"type": "Resource", "resource": cpu})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": thresholds.behaviour.min_replicas,
            "maxReplicas": site.max_replicas,
            "metrics": metrics,
            "behavior": _behaviour(thresholds),
        },
    }


def _behaviour(thresholds: Thresholds) -> Json:
    up, down = thresholds.behaviour.scale_up, thresholds.behaviour.scale_down
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": up.stabilisation_seconds,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": up.percent, "periodSeconds": up.period_seconds},
                {"type": "Pods", "value": up.pods, "periodSeconds": up.period_seconds},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": down.stabilisation_seconds,
            "policies": [
                {"type": "Percent", "value": down.percent, "periodSeconds": down.period_seconds}
            ],
        },
    }


_ABOUT_ADAPTER = """\
Values for the Helm chart prometheus-community/prometheus-adapter: `helm upgrade --values`."""


def _adapter_values(site: Site, asked: list[Trigger]) -> Json:
    return {
        "rules": {
            "external": [
                {
                    "seriesQuery": f'potoo_queue_depth{{namespace="{site.namespace}"}}',
                    "resources": {"overrides": {"namespace": {"resource": "namespace"}}},
                    "name": {"as": _external_name(trigger)},
                    "metricsQuery": trigger.query,
                }
                for trigger in asked
            ]
        }
    }


def _external_name(trigger: Trigger) -> str:
    return f"potoo_{trigger.name.replace('-', '_')}"


_ABOUT_REPLICA = """\
The thresholds hold for replicas such as were measured: so many cores, and these settings. Without
them a server takes as many threads as the node has cores, since it has no CPU limit."""


def _replica(thresholds: Thresholds) -> Json:
    env: list[Json] = [
        {"name": "POTOO_INFERENCE__WORKERS", "value": str(thresholds.replica.threads)}
    ]
    if settings := thresholds.replica.settings:
        value = json.dumps({thresholds.model: settings})
        env.append({"name": "POTOO_INFERENCE__MODELS", "value": value})
    container: Json = {
        "name": NAME,
        "env": env,
        "resources": {"requests": {"cpu": str(thresholds.measured_on.cores)}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
