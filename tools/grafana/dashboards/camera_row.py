"""Row of the cameras that the server watches; empty without cameras."""

from __future__ import annotations

from tools.grafana.panels import INSTANCE, Panel, Query, Row, Unit

RATE = "[$__rate_interval]"

CAMERAS = Row(
    "Cameras",
    (
        Panel(
            "Age of the last frame",
            "Of each camera. It grows while a camera gives no frames.",
            (
                Query(
                    "time() - max by (camera) "
                    f"(potoo_camera_last_frame_timestamp_seconds{{{INSTANCE}}})",
                    "{{camera}}",
                ),
            ),
            Unit.SECONDS,
            alerts=("PotooCameraSilent",),
        ),
        Panel(
            "Frames classified a second",
            "Of each camera; the motion gate leaves frames out.",
            (
                Query(
                    f"sum by (camera) (rate(potoo_camera_classified_total{{{INSTANCE}}}{RATE}))",
                    "{{camera}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            "Failures a second, by reason",
            "Attempts that gave no frame or no answer.",
            (
                Query(
                    "sum by (camera, reason) "
                    f"(rate(potoo_camera_failures_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{camera}}: {{reason}}",
                ),
            ),
            Unit.PER_SECOND,
        ),
        Panel(
            "Interval, in relation to the wanted one",
            "Above 1 if all cameras would take more than their share of the machine.",
            (Query(f"max(potoo_camera_interval_ratio{{{INSTANCE}}})", "interval"),),
            lines_at=(1,),
        ),
        Panel(
            "Sources opened again a second",
            "Of each camera; a steady rate is an unstable network or camera.",
            (
                Query(
                    "sum by (camera) "
                    f"(rate(potoo_camera_reconnects_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{camera}}",
                ),
            ),
            Unit.PER_SECOND,
        ),
        Panel(
            "Events kept an hour",
            "Changes of state; cameras that fall silent and come back.",
            (
                Query(
                    f"sum by (kind) (increase(potoo_camera_events_total{{{INSTANCE}}}[1h]))",
                    "{{kind}}",
                ),
            ),
            stacked=True,
        ),
    ),
)
