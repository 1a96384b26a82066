"""What was measured as autoscaling thresholds: YAML to be read by people and by ``deploy/``.

The primary signal is work in flight and waiting for each replica, aimed at 70 % of what one holds
at its knee. CPU utilisation lags and p95 saturates, so the one only accompanies and the other
only alerts (Knative aims at 70 % of its limit, KServe falls back to CPU 80 %).

Work in flight adds up over replicas, so it says how many are needed. The other signals are ratios
and remember a minute: taken at their word, a burst would double the replicas four times over. They
say that there are too few, and each adds a step.
"""

from __future__ import annotations

import json

from service.core.calibration import Calibrated, Machine

TARGET_SHARE = 0.7
QUEUE_SHARE = 0.25
BUSY_SHARE = 0.5
"""Of the target. Refused at less than that was who asked for an answer sooner than the objective:
no replica would help, and one such camera would hold the number at its maximum."""

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
replica:  # as it ran; what follows holds for replicas with as many cores and these settings
  threads: {threads}
  settings: {settings}
capacity:  # of one replica at its knee, the last load at which the objective was met
  in_flight: {capacity}  # images being worked on or waiting: C
  images_per_second: {per_second:.1f}
  p95_seconds: {p95:.4f}
triggers:
  # Scale on the first: sum / target is the number of replicas. Each of the others may add some,
  # a step at a time (behaviour.step_percent), none may remove them.
  in_flight:
    target: {target}  # 70 % of C, for each replica
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
    threshold: 0  # any within 30 s, where a replica was at least half busy
    query: >-
      sum(increase(potoo_rejections_total{{reason=~"queue_full|would_be_late"}}[30s])) and
      max(max_over_time(potoo_queue_depth{{model="{model}"}}[30s])) >= {busy:g}
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
  step_percent: 25  # what a trigger but the first asks for; above the tolerance of 10 %
  # Whichever adds more pods: the percentage or the number.
  scale_up: {{stabilisation_seconds: 0, percent: 100, pods: 4, period_seconds: 15}}
  scale_down: {{stabilisation_seconds: 300, percent: 25, period_seconds: 60}}
"""


def as_yaml(model: str, found: Calibrated, machine: Machine, threads: int = 0) -> str:
    """The document for one model on one kind of machine.

    Args:
        threads: of the worker pool; 0: one a core.
    """
    knee = found.knee
    target = max(1, int(TARGET_SHARE * knee.in_flight))
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
        threads=threads or machine.cores,
        settings=found.run.model_dump_json(exclude_unset=True),
        target=target,
        busy=BUSY_SHARE * target,
        queue_wait=QUEUE_SHARE * found.objective_p95_ms / 1000,
    )
