"""Dashboard of the replicas' utilisation, by the signals of autoscaling."""

from __future__ import annotations

from tools.grafana.panels import (
    INSTANCE,
    JOB,
    MODEL,
    Dashboard,
    Panel,
    Query,
    Row,
    Step,
    Unit,
    number,
)

RATE = "[$__rate_interval]"
FULL = 'reason=~"queue_full|would_be_late|body_budget"'

_NOW = Row(
    "Now",
    (
        number("Replicas", "Those that answer.", f"sum(up{{{JOB}}})", alerts=("PotooDown",)),
        number(
            "Utilisation of the target",
            "Requests in flight and queued per replica, relative to the autoscaling target "
            "(70 % of C). Empty for models without calibration.",
            "max(avg by (model) (potoo_queue_depth"
            f"{{{MODEL}}}) / on (model) potoo:capacity:target)",
            Unit.SHARE,
            decimals=0,
            base="green",
            steps=(Step(1, "orange"), Step(1.43, "red")),
            alerts=("PotooSaturated",),
        ),
        number(
            "Wait, p95",
            "Wait in the queue over a minute, on the slowest replica.",
            f"max(instance_model:potoo_queue_wait_p95:rate1m{{{MODEL}}})",
            Unit.SECONDS,
            alerts=("PotooQueueTooLong",),
        ),
        number(
            "Refused for capacity",
            "Per second. Above 0: add a replica.",
            f"sum(rate(potoo_rejections_total{{{INSTANCE},{FULL}}}[1m]))",
            Unit.PER_SECOND,
            base="green",
            steps=(Step(0.0001, "red"),),
            alerts=("PotooRejectsForCapacity",),
        ),
        number(
            "Images a second",
            "All models and protocols.",
            f"sum(rate(potoo_predictions_total{{{MODEL}}}[1m]))",
            Unit.PER_SECOND,
        ),
        number(
            "CPU cores",
            "CPU cores used by all replicas together.",
            f"sum(rate(process_cpu_seconds_total{{{INSTANCE}}}[1m]))",
            decimals=1,
        ),
    ),
)

_TRIGGERS = Row(
    "Signals of autoscaling",
    (
        Panel(
            "In flight and queued, each replica",
            "The first signal of autoscaling. C is the measured capacity of one replica within the"
            " objective.",
            (
                Query(
                    f"sum by (model, instance) (potoo_queue_depth{{{MODEL}}})",
                    "{{model}} at {{instance}}",
                ),
                Query(
                    'max(potoo:capacity:target{model=~"$model"})',
                    "target: 70 % of C",
                    is_limit=True,
                ),
                Query('max(potoo:capacity:in_flight{model=~"$model"})', "C", is_limit=True),
            ),
            width=12,
            alerts=("PotooSaturated",),
        ),
        Panel(
            "Offered load, each replica",
            "Images processed or refused for capacity, divided by the number of ready replicas. It"
            " shows the whole size of a burst, most of which is refused.",
            (
                Query(
                    f"(sum(rate(potoo_predictions_total{{{MODEL}}}[1m])) + sum(rate("
                    f'potoo_rejections_total{{{INSTANCE},reason=~"queue_full|would_be_late"}}[1m])))'
                    f" / count(count by (instance) (potoo_model_ready{{{MODEL}}} == 1))",
                    "asked for",
                ),
                Query(
                    'max(potoo:capacity:demand{model=~"$model"})',
                    "target: 70 % of the throughput at C",
                    is_limit=True,
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            alerts=("PotooSaturated",),
        ),
        Panel(
            "Wait in the queue, p95",
            "Over a minute. For alerts, not for scaling: not inversely proportional to replicas.",
            (
                Query(
                    f"instance_model:potoo_queue_wait_p95:rate1m{{{MODEL}}}",
                    "{{model}} at {{instance}}",
                ),
                Query(
                    "max(potoo:objective:queue_wait_seconds)",
                    "25 % of the objective",
                    is_limit=True,
                ),
            ),
            Unit.SECONDS,
            width=8,
            alerts=("PotooQueueTooLong",),
        ),
        Panel(
            "Ratio of waiting to processing",
            "Time in the queue per second of processing, over a minute.",
            (
                Query(
                    f"instance_model:potoo_queue_ratio:rate1m{{{MODEL}}}",
                    "{{model}} at {{instance}}",
                ),
            ),
            width=8,
            lines_at=(1,),
            alerts=("PotooQueueTooLong",),
        ),
        Panel(
            "Refused, by reason",
            "Requests refused to protect the others.",
            (
                Query(
                    "sum by (reason) (rate(potoo_rejections_total"
                    f'{{{INSTANCE},reason=~"queue_full|would_be_late|deadline|body_budget"}}{RATE}))',
                    "{{reason}}",
                ),
            ),
            Unit.PER_SECOND,
            width=8,
            stacked=True,
            alerts=("PotooRejectsForCapacity",),
        ),
    ),
)

_MACHINE = Row(
    "The replicas",
    (
        Panel(
            "CPU cores, each replica",
            "Lags behind and saturates: a secondary signal, not a replacement for those above.",
            (Query(f"rate(process_cpu_seconds_total{{{INSTANCE}}}{RATE})", "{{instance}}"),),
        ),
        Panel(
            "Memory, each replica",
            "Resident memory and the limit of the container or machine. Empty with --workers.",
            (
                Query(f"process_resident_memory_bytes{{{INSTANCE}}}", "{{instance}}"),
                Query(f"min(potoo_memory_limit_bytes{{{INSTANCE}}})", "limit", is_limit=True),
            ),
            Unit.BYTES,
            alerts=("PotooMemoryGrows", "PotooMemoryNearLimit"),
        ),
        Panel(
            "Replicas",
            "Targets of Prometheus, and those that respond.",
            (Query(f"count(up{{{JOB}}})", "known"), Query(f"sum(up{{{JOB}}})", "up")),
            alerts=("PotooReplicaDown", "PotooCrashLoop"),
        ),
        Panel(
            "Requests in progress",
            "HTTP including slow uploads, gRPC including open streams.",
            (
                Query(f"sum(potoo_http_requests_in_flight{{{INSTANCE}}})", "HTTP"),
                Query(f"sum(potoo_grpc_requests_in_flight{{{INSTANCE}}})", "gRPC"),
            ),
        ),
        Panel(
            "Processes that died",
            "Workers replaced and processes started, within 15 minutes.",
            (
                Query(
                    f"sum by (instance) (increase(potoo_worker_restarts_total{{{INSTANCE}}}[15m]))",
                    "workers, {{instance}}",
                ),
                Query(
                    f"changes(process_start_time_seconds{{{INSTANCE}}}[15m])",
                    "process, {{instance}}",
                ),
            ),
            alerts=("PotooCrashLoop",),
        ),
        Panel(
            "Retries by Envoy",
            "Retries, and replicas ejected for failing. Empty if Caddy is the proxy.",
            (
                Query(f"sum(rate(envoy_cluster_upstream_rq_retry{RATE}))", "retries"),
                Query("sum(envoy_cluster_outlier_detection_ejections_active)", "left out"),
            ),
            alerts=("PotooEdgeErrors",),
        ),
    ),
)

CAPACITY = Dashboard(
    "capacity",
    "Potoo: capacity and autoscaling",
    "Utilisation of the replicas, by the signals of autoscaling.",
    (_NOW, _TRIGGERS, _MACHINE),
)
