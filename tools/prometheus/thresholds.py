"""Writes ``rules/thresholds.yaml``: measured capacity and objectives as series to compare with.

``python -m tools.prometheus.thresholds`` reads ``deploy/autoscaling.yaml``, which
``potoo calibrate`` wrote, and ``objectives.yaml``. Alerts and dashboards use the series, so that
each number has one source.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from prometheus_client.utils import floatToGoString
from pydantic import BaseModel, ConfigDict, Field

from observability.metrics import LATENCY_BUCKETS
from tools.thresholds.document import BadThresholds, Thresholds, read_thresholds

FOLDER = Path(__file__).parents[2] / "deploy/prometheus"
AUTOSCALING = FOLDER.parent / "autoscaling.yaml"
OBJECTIVES = FOLDER / "objectives.yaml"
RULES = FOLDER / "rules" / "thresholds.yaml"

_TEMPLATE = """\
# Made by `python -m tools.prometheus.thresholds` from ../../autoscaling.yaml and
# ../objectives.yaml: change those.
groups:
  - name: potoo-thresholds
    rules:
      # C: images in flight and waiting that one replica holds at its knee
      - {{record: "potoo:capacity:in_flight", expr: vector({capacity}), labels: {{model: {model}}}}}
      # where autoscaling keeps it: below C, since replicas take time to come
      - {{record: "potoo:capacity:target", expr: vector({target}), labels: {{model: {model}}}}}
      # images asked for a second, for each replica: where autoscaling keeps them
      - {{record: "potoo:capacity:demand", expr: vector({demand}), labels: {{model: {model}}}}}
      # images that wait longer than this for minutes say that there are too few replicas
      - {{record: "potoo:objective:queue_wait_seconds", expr: vector({queue_wait})}}
      - {{record: "potoo:objective:p95_seconds", expr: vector({p95})}}
      - {{record: "potoo:objective:latency_share", expr: vector({latency_share})}}
      - {{record: "potoo:objective:availability", expr: vector({availability})}}
      # Classifications answered, and those in time: {bucket} s is the bucket for {p95} s.
      - record: job:potoo_classify_answers:rate5m
        expr: >-
          sum by (namespace, job) (rate(potoo_http_request_duration_seconds_count{{
          route="/v1/classify",status_class="2xx"}}[5m]))
      - record: job:potoo_classify_in_time:rate5m
        expr: >-
          sum by (namespace, job) (rate(potoo_http_request_duration_seconds_bucket{{
          route="/v1/classify",status_class="2xx",le="{bucket}"}}[5m]))
      - record: job:potoo_classify_late:rate5m
        expr: job:potoo_classify_answers:rate5m - job:potoo_classify_in_time:rate5m
      - record: job:potoo_classify_answers:rate1h
        expr: >-
          sum by (namespace, job) (rate(potoo_http_request_duration_seconds_count{{
          route="/v1/classify",status_class="2xx"}}[1h]))
      - record: job:potoo_classify_in_time:rate1h
        expr: >-
          sum by (namespace, job) (rate(potoo_http_request_duration_seconds_bucket{{
          route="/v1/classify",status_class="2xx",le="{bucket}"}}[1h]))
      - record: job:potoo_classify_late:rate1h
        expr: job:potoo_classify_answers:rate1h - job:potoo_classify_in_time:rate1h
"""


class Objectives(BaseModel):
    """Content of ``objectives.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    availability: float = Field(gt=0, lt=1)
    latency_share: float = Field(gt=0, lt=1)


def bucket_for(seconds: float) -> float:
    """Return the histogram's largest bucket not above the objective.

    So the objective is never measured more leniently than stated.

    Raises:
        ValueError: every bucket is above the objective.
    """
    if fitting := [bound for bound in LATENCY_BUCKETS if bound <= seconds]:
        return max(fitting)
    raise ValueError(f"no bucket of the latency histogram is as short as {seconds:g} s")


def rules(autoscaling: Thresholds, objectives: Objectives) -> str:
    """Format the rules file."""
    p95 = autoscaling.objective.p95_seconds
    label = floatToGoString(bucket_for(p95))  # type: ignore[no-untyped-call]
    return _TEMPLATE.format(
        model=yaml.safe_dump(autoscaling.model).splitlines()[0],
        capacity=autoscaling.capacity.in_flight,
        target=autoscaling.triggers.in_flight.target,
        demand=autoscaling.triggers.demand.target_per_second,
        queue_wait=autoscaling.alerts.queue_wait.threshold_seconds,
        p95=p95,
        latency_share=objectives.latency_share,
        availability=objectives.availability,
        bucket=label,
    )


def read(autoscaling: Path = AUTOSCALING, objectives: Path = OBJECTIVES) -> str:
    """Format the rules file for two documents on disk.

    Raises:
        BadThresholds: the first document cannot be used.
        ValueError: the second cannot be used, or an objective cannot be measured.
    """
    promised = Objectives.model_validate(yaml.safe_load(objectives.read_text()))
    return rules(read_thresholds(autoscaling), promised)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rules file; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.prometheus.thresholds")
    parser.add_argument(
        "autoscaling", nargs="?", type=Path, default=AUTOSCALING, help="from potoo calibrate"
    )
    parser.add_argument("--output", type=Path, default=RULES)
    given = parser.parse_args(arguments)
    try:
        given.output.write_text(read(given.autoscaling))
    except BadThresholds as error:
        print(error, file=sys.stderr)
        return 1
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
