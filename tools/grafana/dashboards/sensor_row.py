"""Row of the sensors whose samples the server classifies; empty without sensors."""

from __future__ import annotations

from tools.grafana.panels import INSTANCE, Panel, Query, Row, Unit

RATE = "[$__rate_interval]"


def _lag(share: float) -> Query:
    return Query(
        f"histogram_quantile({share}, "
        f"sum by (le) (rate(potoo_sensor_lag_seconds_bucket{{{INSTANCE}}}{RATE})))",
        f"p{share * 100:g}",
    )


SENSORS = Row(
    "Sensors",
    (
        Panel(
            "Age of the last sample",
            "Of each sensor; further ones than 100 share the label other.",
            (
                Query(
                    "time() - max by (sensor) "
                    f"(potoo_sensor_last_sample_timestamp_seconds{{{INSTANCE}}})",
                    "{{sensor}}",
                ),
            ),
            Unit.SECONDS,
            alerts=("PotooSensorSilent",),
        ),
        Panel(
            "Windows answered a second",
            "Of each sensor.",
            (
                Query(
                    f"sum by (sensor) (rate(potoo_sensor_windows_total{{{INSTANCE}}}{RATE}))",
                    "{{sensor}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            "Lag",
            "From the arrival of a window's last sample to its stored answer.",
            (_lag(0.5), _lag(0.9), _lag(0.99)),
            Unit.SECONDS,
            alerts=("PotooSensorsLag",),
        ),
        Panel(
            "Faults and gaps a second",
            "Samples or windows that were not classified, by reason; gaps of samples.",
            (
                Query(
                    "sum by (sensor, reason) "
                    f"(rate(potoo_sensor_faults_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{sensor}}: {{reason}}",
                ),
                Query(
                    f"sum by (sensor) (rate(potoo_sensor_gaps_total{{{INSTANCE}}}{RATE})) > 0",
                    "{{sensor}}: gaps",
                ),
            ),
            Unit.PER_SECOND,
        ),
        Panel(
            "Devices that send",
            "By how their samples arrive.",
            (Query(f"sum by (door) (potoo_sensor_channels_in_flight{{{INSTANCE}}})", "{{door}}"),),
            stacked=True,
        ),
        Panel(
            "Samples in memory",
            "Of windows that are not complete, or not answered. At the limit devices wait.",
            (
                Query(f"sum(potoo_sensor_buffer_bytes{{{INSTANCE}}})", "held"),
                Query(f"sum(potoo_sensor_buffer_limit_bytes{{{INSTANCE}}})", "limit"),
            ),
            Unit.BYTES,
        ),
    ),
)
