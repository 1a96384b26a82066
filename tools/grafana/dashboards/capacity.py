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
            "Of the target in flight",
            "In flight and queued per replica, against what autoscaling aims at (70 % of C). "
            "Empty for models that were not calibrated.",
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
            "In the queue, over a minute, on the worst replica.",
            f"max(instance_model:potoo_queue_wait_p95:rate1m{{{MODEL}}})",
            Unit.SECONDS,
            alerts=("PotooQueueTooLong",),
        ),
        number(
            "Refused for capacity",
            "A second. Anything above 0 wants another replica.",
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
            "Used by all replicas together.",
            f"sum(rate(process_cpu_seconds_total{{{INSTANCE}}}[1m]))",
            decimals=1,
        ),
    ),
)

_TRIGGERS = Row(
    "What autoscaling looks at",
    (
        Panel(
            "In flight and queued, each replica",
            "What scaling looks at first. C is what one replica was measured to hold within the"
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
            "Asked for, each replica",
            "Images answered or refused for capacity, shared among the replicas that are ready. It"
            " knows the whole size of a burst, most of which is refused.",
            (
                Query(
                    f"(sum(rate(potoo_predictions_total{{{MODEL}}}[1m])) + sum(rate("
                    f'potoo_rejections_total{{{INSTANCE},reason=~"queue_full|would_be_late"}}[1m])))'
                    f" / count(count by (instance) (potoo_model_ready{{{MODEL}}} == 1))",
                    "asked for",
                ),
                Query(
                    'max(potoo:capacity:demand{model=~"$model"})',
                    "target: 70 % of what it does at C",
                    is_limit=True,
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            alerts=("PotooSaturated",),
        ),
        Panel(
            "Wait in the queue, p95",
            "Over a minute. No trigger, for it does not fall in proportion to replicas: it alerts.",
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
            "Waiting against working",
            "Time in the queue for each second of work, over a minute.",
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
            "Work that was turned away to protect the rest.",
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
            "Lags behind and saturates: it accompanies the signals above, and never replaces them.",
            (Query(f"rate(process_cpu_seconds_total{{{INSTANCE}}}{RATE})", "{{instance}}"),),
        ),
        Panel(
            "Memory, each replica",
            "Resident, against what the container or the machine gives. Empty with --workers.",
            (
                Query(f"process_resident_memory_bytes{{{INSTANCE}}}", "{{instance}}"),
                Query(f"min(potoo_memory_limit_bytes{{{INSTANCE}}})", "limit", is_limit=True),
            ),
            Unit.BYTES,
            alerts=("PotooMemoryGrows", "PotooMemoryNearLimit"),
        ),
        Panel(
            "Replicas",
            "Known to Prometheus, and answering it.",
            (Query(f"count(up{{{JOB}}})", "known"), Query(f"sum(up{{{JOB}}})", "up")),
            alerts=("PotooReplicaDown", "PotooCrashLoop"),
        ),
        Panel(
            "Requests being worked on",
            "HTTP with slow uploads, gRPC with open streams.",
            (
                Query(f"sum(potoo_http_requests_in_flight{{{INSTANCE}}})", "HTTP"),
                Query(f"sum(potoo_grpc_requests_in_flight{{{INSTANCE}}})", "gRPC"),
            ),
        ),
        Panel(
            "Processes that died",
            "Workers replaced and processes started, within a quarter of an hour.",
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
            "Sent again by Envoy",
            "Retries, and replicas it left out for failing. Empty where Caddy is the proxy.",
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
    "How full the replicas are, by the signals that autoscaling looks at.",
    (_NOW, _TRIGGERS, _MACHINE),
)
