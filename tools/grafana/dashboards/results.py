"""Rows of the outputs that events of cameras are delivered to."""

from __future__ import annotations

from tools.grafana.panels import INSTANCE, JOB, Panel, Query, Row, Step, Unit, number

RATE = "[$__rate_interval]"
# Only the process that holds the lease delivers; the others report 0.
_OLDEST = f"potoo_result_oldest_timestamp_seconds{{{JOB}}}"
_AGE = f"time() - min by (output) ({_OLDEST} > 0)"


def _count(outcome: str, window: str) -> str:
    return f'increase(potoo_result_deliveries_total{{{INSTANCE},outcome=~"{outcome}"}}{window})'


_NOW = Row(
    "Results of cameras",
    (
        number(
            "MQTT connected",
            "1 while a process is connected with the broker; no data if none is configured.",
            f'max(potoo_result_up{{{JOB},output="mqtt"}})',
            base="red",
            steps=(Step(1, "green"),),
            alerts=("PotooMqttDisconnected",),
        ),
        number(
            "Events waiting",
            "Events that the slowest output has not delivered yet.",
            f"max(potoo_result_queue_depth{{{JOB}}})",
            steps=(Step(100, "orange"),),
            alerts=("PotooWebhookFails", "PotooMqttDisconnected"),
        ),
        number(
            "Age of the oldest",
            "How long the oldest event waits; no data if none waits.",
            f"max({_AGE})",
            Unit.SECONDS,
            decimals=0,
            steps=(Step(60, "orange"), Step(1800, "red")),
            alerts=("PotooWebhookFails", "PotooMqttDisconnected"),
        ),
        number(
            "Delivered within the hour",
            "Events that a broker or receiver acknowledged.",
            f"sum({_count('delivered', '[1h]')})",
            decimals=0,
        ),
        number(
            "Given up within the hour",
            "Events that a webhook did not take, or that waited too long for the broker.",
            f"sum({_count('dead|dropped', '[1h]')})",
            decimals=0,
            base="green",
            steps=(Step(0.5, "red"),),
            alerts=("PotooWebhookFails", "PotooMqttDisconnected"),
        ),
        number(
            "Webhooks gone",
            "Receivers that answered 410 within the day: they get nothing until the next start.",
            f"sum({_count('gone', '[1d]')})",
            decimals=0,
            base="green",
            steps=(Step(0.5, "red"),),
            alerts=("PotooWebhookFails",),
        ),
    ),
)

_COURSE = Row(
    "Deliveries of camera events",
    (
        Panel(
            "Deliveries, by output and outcome",
            "Failed attempts of webhooks are repeated; dead and dropped events are not.",
            (
                Query(
                    "sum by (output, outcome) (rate(potoo_result_deliveries_total"
                    f"{{{INSTANCE}}}{RATE}))",
                    "{{output}}: {{outcome}}",
                ),
            ),
            Unit.PER_SECOND,
            alerts=("PotooWebhookFails",),
        ),
        Panel(
            "Events waiting, by output",
            "Of the slowest output of each kind.",
            (Query(f"max by (output) (potoo_result_queue_depth{{{JOB}}})", "{{output}}"),),
            alerts=("PotooWebhookFails", "PotooMqttDisconnected"),
        ),
        Panel(
            "Age of the oldest event",
            "Of the slowest output of each kind; above the line the alert fires.",
            (Query(_AGE, "{{output}}"),),
            Unit.SECONDS,
            lines_at=(1800,),
            alerts=("PotooWebhookFails",),
        ),
    ),
)

RESULTS = (_NOW, _COURSE)
