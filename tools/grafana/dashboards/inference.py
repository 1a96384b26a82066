"""Dashboard of the time an image takes: decoding, waiting, computing."""

from __future__ import annotations

from tools.grafana.dashboards.camera_row import CAMERAS
from tools.grafana.dashboards.sensor_row import SENSORS
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
    "Time per stage",
    (
        Panel(
            "Mean time of an image, by stage",
            "Stacked: the total is the time of an image from bytes to labels.",
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
            "The p95 of the stages do not add up to the p95 of the total.",
            (_stages(0.95),),
            Unit.SECONDS,
        ),
        Panel(
            "Ratio of waiting to processing",
            "Time in the queue per second of processing. Above 1 images wait longer than their "
            "processing takes: harmless while both are short.",
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
            "Grows with the number of pixels: callers may send smaller images.",
            _quantiles("decode"),
            Unit.SECONDS,
        ),
        Panel(
            "Waiting in the queue",
            "Grows first under overload.",
            (
                *_quantiles("queue"),
                Query("max(potoo:objective:queue_wait_seconds)", "too long", is_limit=True),
            ),
            Unit.SECONDS,
            alerts=("PotooQueueTooLong",),
        ),
        Panel(
            "Inference",
            "Time of the model, per image of a batch.",
            _quantiles("inference"),
            Unit.SECONDS,
        ),
    ),
)

_WORK = Row(
    "Load",
    (
        Panel(
            "Images a second, by protocol",
            "http is /v1; v2 and grpc count each item of a tensor.",
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
            "Batch size",
            "Mean batch size; 1 if batches are not faster, as on most CPUs.",
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
            "HTTP bodies, all routes.",
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
            "All routes, including health checks and the web page.",
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
            "All methods, including health checks.",
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

_STREAMS = Row(
    "Streams over a WebSocket",
    (
        Panel(
            "Streams open",
            "By replica. After a restart clients connect again, and gather on the other replicas.",
            (Query(f"sum by (instance) (potoo_streams_in_flight{{{INSTANCE}}})", "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Frames a second, by outcome",
            "Dropped frames are out of date (mode latest): cameras send more than is answered.",
            (
                Query(
                    f"sum by (outcome) (rate(potoo_stream_frames_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            "Age of answered frames",
            "From the arrival of a frame to its answer. In mode latest about two processing times "
            "at most.",
            tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate("
                    f"potoo_stream_frame_age_seconds_bucket{{{INSTANCE}}}{RATE})))",
                    legend,
                )
                for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            Unit.SECONDS,
        ),
        Panel(
            "Streams ended, by close code",
            "1012 is a restart, 4408 idleness, 4401 and 4410 are tokens; 1006 and 1011 are lost "
            "connections or server errors. docs/websocket.md lists all codes.",
            (
                Query(
                    f"sum by (code) (rate(potoo_streams_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{code}}",
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            stacked=True,
        ),
        Panel(
            "Streams refused",
            "Accounts that have as many streams open as limits.streams_per_principal permits.",
            (
                Query(
                    f'sum(rate(potoo_rejections_total{{{INSTANCE},reason="streams"}}{RATE}))',
                    "limit of an account",
                ),
            ),
            Unit.PER_SECOND,
            width=12,
        ),
    ),
)

INFERENCE = Dashboard(
    "inference",
    "Potoo: inference",
    "Time per image: decoding, waiting, computing.",
    (_TIME, _STAGES, _WORK, _STREAMS, CAMERAS, SENSORS),
)
