"""What was measured as autoscaling thresholds: YAML to be read by people and by ``deploy/``.

The primary signal is work in flight and waiting for each replica, aimed at 70 % of what one holds
at its knee. CPU utilisation lags and p95 saturates, so the one only accompanies and the other
only alerts (Knative aims at 70 % of its limit, KServe falls back to CPU 80 %).
"""

from __future__ import annotations

import json

from service.core.calibration import Calibrated, Machine

TARGET_SHARE = 0.7
QUEUE_SHARE = 0.25

_TEMPLATE = """\
# Autoscaling thresholds for replicas of one kind of machine, made by `potoo calibrate`.
# Measured, not guessed: run it again after a change of model, machine or settings.
model: {model}
version: {version}
objective:
  p95_seconds: {objective:g}
measured_on:
  processor: {processor}
  cores: {cores}
  onnxruntime: {onnxruntime}
capacity:  # of one replica at its knee, the last load at which the objective was met
  in_flight: {capacity}  # images being worked on or waiting: C
  images_per_second: {per_second:.1f}
  p95_seconds: {p95:.4f}
triggers:
  # Scale on the first; each of the others may add replicas, none may remove them.
  in_flight:
    target: {target}  # 70 % of C, average of the ready replicas
    query: sum(potoo_queue_depth{{model="{model}"}})
  queue_wait:
    threshold_seconds: {queue_wait:g}  # a quarter of the objective
    query: >-
      histogram_quantile(0.95, sum by (le)
      (rate(potoo_stage_duration_seconds_bucket{{model="{model}",stage="queue"}}[1m])))
  queue_ratio:
    threshold: 1.0  # waits as long as it is worked on
    query: >-
      sum(rate(potoo_stage_duration_seconds_sum{{model="{model}",stage="queue"}}[1m])) /
      sum(rate(potoo_stage_duration_seconds_sum{{model="{model}",stage!="queue"}}[1m]))
  rejections:
    threshold: 0  # any, within 30 s
    query: sum(increase(potoo_rejections_total{{reason=~"queue_full|would_be_late"}}[30s]))
  cpu:
    utilisation_percent: 75  # of the request; never alone: it lags and saturates
alerts:
  latency:
    p95_seconds: {objective:g}  # no trigger: replicas do not lower it in proportion
    for: 5m
    query: >-
      histogram_quantile(0.95, sum by (le)
      (rate(potoo_http_request_duration_seconds_bucket{{route="/v1/classify",status_class="2xx"}}[5m])))
behaviour:
  min_replicas: 2
  scrape_interval_seconds: 5
  # Whichever adds more pods: the percentage or the number.
  scale_up: {{stabilisation_seconds: 0, percent: 100, pods: 4, period_seconds: 15}}
  scale_down: {{stabilisation_seconds: 300, percent: 25, period_seconds: 60}}
"""


def as_yaml(model: str, found: Calibrated, machine: Machine) -> str:
    """The document for one model on one kind of machine."""
    knee = found.knee
    return _TEMPLATE.format(
        model=model,
        version=found.version,
        objective=found.objective_p95_ms / 1000,
        processor=json.dumps(machine.processor),  # JSON's strings are YAML's too
        cores=machine.cores,
        onnxruntime=json.dumps(machine.onnxruntime),
        capacity=knee.in_flight,
        per_second=knee.images_per_second,
        p95=knee.p95_ms / 1000,
        target=max(1, int(TARGET_SHARE * knee.in_flight)),
        queue_wait=QUEUE_SHARE * found.objective_p95_ms / 1000,
    )
