"""Autoscaling thresholds from a calibration: YAML for people and for ``deploy/``.

Two signals add up over replicas, so their sums give the number needed: images in flight and
waiting, aimed at 70 % of a replica's number at its knee, and images requested per second, aimed at
70 % of its throughput there. The first detects images that cost more than before, the second a
burst's whole size though most of it is refused. CPU utilisation lags and saturates, so it is never
the only trigger.

Queue wait is no trigger: it does not fall in proportion to replicas and covers a minute, which in
``tools/autoscaling`` cost a tenth to a third more replicas without benefit. It is an alert.
"""

from __future__ import annotations

import json

from service.core.serving.calibration import Calibrated, Machine

TARGET_SHARE = 0.7
QUEUE_SHARE = 0.25
MOST_TARGETS = 2
"""Limit of one replica's ``in_flight`` signal, in targets.

A queue of late work needs fewer replicas than its length suggests: each replica requests one more
at most, and demand covers the rest.
"""
BUSY_SHARE = 0.5
"""Share of the target. Rejections below it come from deadlines shorter than the objective: more
replicas would not help, and one such camera would hold their number at its maximum."""

_TEMPLATE = """\
# Autoscaling thresholds for replicas of one type of machine, measured by `potoo calibrate`.
# Run it again after a change of model, machine or settings.
model: {model}
version: {version}
objective:
  p95_seconds: {objective:g}
measured_on:
  processor: {processor}
  cores: {cores}
  onnxruntime: {onnxruntime}
replica:  # as measured; thresholds apply to replicas with these settings and cores
  threads: {threads}
  settings: {settings}
capacity:  # of one replica at its knee, the highest load that meets the objective
  in_flight: {capacity}  # images in flight and waiting: C
  images_per_second: {per_second:.1f}
  p95_seconds: {p95:.4f}
triggers:
  # Scale on the first two: sum / target is the number of replicas. Rejections add replicas in steps
  # (behaviour.step_percent). The highest number applies.
  in_flight:
    target: {target}  # 70 % of C per replica; each counts as two targets at most
    query: sum(clamp_max(potoo_queue_depth{{model="{model}"}}, {most}))
  demand:
    target_per_second: {demand:.4g}  # 70 % of a replica's throughput at its knee
    # Demand: answered requests, and refused ones if a replica was at least half busy.
    query: >-
      sum(rate(potoo_predictions_total{{model="{model}"}}[20s])) +
      sum(rate(potoo_rejections_total{{reason=~"queue_full|would_be_late"}}[20s])) *
      (max(max_over_time(potoo_queue_depth{{model="{model}"}}[30s])) >= bool {busy:g})
  rejections:
    threshold: 0  # any within 30 s, if a replica was at least half busy
    query: >-
      sum(increase(potoo_rejections_total{{reason=~"queue_full|would_be_late"}}[30s])) and
      max(max_over_time(potoo_queue_depth{{model="{model}"}}[30s])) >= {busy:g}
  cpu:
    utilisation_percent: 60  # of the request; not alone: it lags, and saturates below 100
alerts:
  latency:
    p95_seconds: {objective:g}  # no trigger: it does not fall in proportion to replicas
    for: 5m
    query: >-
      histogram_quantile(0.95, sum by (le)
      (rate(potoo_http_request_duration_seconds_bucket{{route="/v1/classify",status_class="2xx"}}[5m])))
  # Too few replicas for a long time, independent of the triggers.
  queue_wait:
    threshold_seconds: {queue_wait:g}  # a quarter of the objective
    for: 5m
    query: >-
      histogram_quantile(0.95, sum by (le)
      (rate(potoo_stage_duration_seconds_bucket{{model="{model}",stage="queue"}}[1m])))
  queue_ratio:
    threshold: 1.0  # wait equals processing time
    for: 5m
    query: >-
      sum(rate(potoo_stage_duration_seconds_sum{{model="{model}",stage="queue"}}[1m])) /
      sum(rate(potoo_stage_duration_seconds_sum{{model="{model}",stage!="queue"}}[1m]))
behaviour:
  min_replicas: 2
  scrape_interval_seconds: 5
  step_percent: 25  # step of rejections; above the autoscaler's tolerance of 10 %
  # The greater of percentage and number of pods.
  scale_up: {{stabilisation_seconds: 0, percent: 100, pods: 4, period_seconds: 15}}
  scale_down: {{stabilisation_seconds: 300, percent: 25, period_seconds: 60}}
"""


def as_yaml(model: str, found: Calibrated, machine: Machine, threads: int = 0) -> str:
    """Return the YAML document for one model on one kind of machine.

    Args:
        threads: of the worker pool; 0 for one per core.
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
        demand=TARGET_SHARE * knee.images_per_second,
        most=MOST_TARGETS * target,
        busy=BUSY_SHARE * target,
        queue_wait=QUEUE_SHARE * found.objective_p95_ms / 1000,
    )
