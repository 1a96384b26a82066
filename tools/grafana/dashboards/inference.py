"""Dashboard of the time an image takes: decoding, waiting, computing."""

from __future__ import annotations

from tools.grafana.panels import INSTANCE, MODEL, Dashboard, Panel, Query, Row, Unit

RATE = "[$__rate_interval]"


def _stages(share: float) -> Query:
    return Query(
        f"histogram_quantile({share}, sum by (stage, le) (rate("
        f"potoo_stage_duration_seconds_bucket{{{MODEL}}}{RATE})))",
        "{{stage}}",
    )


def _stage(stage: str, share: float, legend: str) -> Query:
    return Query(
        f"histogram_quantile({share}, sum by (le) (rate("
        f'potoo_stage_duration_seconds_bucket{{{MODEL},stage="{stage}"}}{RATE})))',
        legend,
    )


def _quantiles(stage: str) -> tuple[Query, ...]:
    return tuple(
        _stage(stage, share, legend)
        for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


_TIME = Row(
    "Where the time goes",
    (
        Panel(
            "Mean time of an image, by stage",
            "Stacked: the whole height is what an image takes from its bytes to its labels.",
            (
                Query(
                    f"sum by (stage) (rate(potoo_stage_duration_seconds_sum{{{MODEL}}}{RATE})) / "
                    f"sum by (stage) (rate(potoo_stage_duration_seconds_count{{{MODEL}}}{RATE}))",
                    "{{stage}}",
                ),
            ),
            Unit.SECONDS,
            stacked=True,
        ),
        Panel(
            "p95 of every stage",
            "Stages' p95 do not add up to that of the whole.",
            (_stages(0.95),),
            Unit.SECONDS,
        ),
        Panel(
            "Waiting against working",
            "Time in the queue for each second of work. Above 1 images wait longer than they are "
            "worked on: harmless while both are short.",
            (
                Query(
                    f"max by (model) (instance_model:potoo_queue_ratio:rate1m{{{MODEL}}})",
                    "{{model}}",
                ),
            ),
            lines_at=(1,),
            alerts=("PotooQueueTooLong",),
        ),
    ),
)

_STAGES = Row(
    "Single stages",
    (
        Panel(
            "Decoding",
            "Grows with the pixels of what is sent: callers may send smaller pictures.",
            _quantiles("decode"),
            Unit.SECONDS,
        ),
        Panel(
            "Waiting in the queue",
            "The first thing to grow when there is too much work.",
            (
                *_quantiles("queue"),
                Query("max(potoo:objective:queue_wait_seconds)", "too long", is_limit=True),
            ),
            Unit.SECONDS,
            alerts=("PotooQueueTooLong",),
        ),
        Panel(
            "Inference",
            "The model alone, for one image of a batch.",
            _quantiles("inference"),
            Unit.SECONDS,
        ),
    ),
)

_WORK = Row(
    "What is asked for",
    (
        Panel(
            "Images a second, by protocol",
            "http is /v1; v2 and grpc count an item of a tensor each.",
            (
                Query(
                    f"sum by (protocol) (rate(potoo_predictions_total{{{MODEL}}}{RATE})) > 0",
                    "{{protocol}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            "Images run together",
            "Mean size of a batch; 1 where batches are no faster, as on most CPUs.",
            (
                Query(
                    f"sum by (model) (rate(potoo_batch_size_sum{{{MODEL}}}{RATE}))"
                    f" / sum by (model) (rate(potoo_batch_size_count{{{MODEL}}}{RATE}))",
                    "{{model}}",
                ),
            ),
        ),
        Panel(
            "Bytes received and sent",
            "Bodies over HTTP, all routes.",
            (
                Query(
                    f"sum(rate(potoo_http_request_body_bytes_total{{{INSTANCE}}}{RATE}))",
                    "received",
                ),
                Query(
                    f"sum(rate(potoo_http_response_body_bytes_total{{{INSTANCE}}}{RATE}))", "sent"
                ),
            ),
            Unit.BYTES_PER_SECOND,
        ),
        Panel(
            "HTTP, by status",
            "All routes, health checks and the page among them.",
            (
                Query(
                    f"sum by (status) (rate(potoo_http_requests_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{status}}",
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            stacked=True,
        ),
        Panel(
            "gRPC, by code",
            "All methods, health checks among them.",
            (
                Query(
                    f"sum by (code) (rate(potoo_grpc_requests_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{code}}",
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            stacked=True,
        ),
    ),
)

INFERENCE = Dashboard(
    "inference",
    "Potoo: inference",
    "Where the time of an image goes: decoding, waiting, computing.",
    (_TIME, _STAGES, _WORK),
)
