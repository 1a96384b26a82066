"""Overview dashboard: service level objectives, and where they are missed."""

from __future__ import annotations

from tools.grafana.dashboards.results import RESULTS
from tools.grafana.panels import (
    INFERENCE_METHODS,
    INFERENCE_ROUTES,
    INSTANCE,
    JOB,
    Dashboard,
    Kind,
    Panel,
    Query,
    Row,
    Step,
    Unit,
    number,
)

RATE = "[$__rate_interval]"
_ASKED = f"sum(avg_over_time(job:potoo_inference_requests:rate5m{{{JOB}}}[30d]))"
_FAILED = f"sum(avg_over_time(job:potoo_inference_failures:rate5m{{{JOB}}}[30d]))"
_ANSWERED = f"sum(avg_over_time(job:potoo_classify_answers:rate5m{{{JOB}}}[30d]))"
_IN_TIME = f"sum(avg_over_time(job:potoo_classify_in_time:rate5m{{{JOB}}}[30d]))"
_BUDGET_STEPS = (Step(0, "orange"), Step(0.25, "green"))


def _left(bad_share: str, objective: str) -> str:
    """Return the query of the share of the 30-day error budget left; below 0 it is overspent."""
    return f"1 - ({bad_share}) / scalar(1 - potoo:objective:{objective})"


_PROMISES = Row(
    "Service level objectives, over 30 days",
    (
        number(
            "Available",
            "Share of inference requests without a server error, all protocols.",
            f"1 - {_FAILED} / ({_ASKED} > 0)",
            Unit.SHARE,
            decimals=3,
        ),
        number(
            "Failures left",
            "Remaining share of the 30-day error budget. Below 0: objective missed.",
            _left(f"{_FAILED} / ({_ASKED} > 0)", "availability"),
            Unit.SHARE,
            decimals=0,
            base="red",
            steps=_BUDGET_STEPS,
            alerts=("PotooAvailabilityBurnsFast", "PotooAvailabilityBurnsSlowly"),
        ),
        number(
            "In time",
            "Share of classifications within the latency objective of deploy/autoscaling.yaml.",
            f"{_IN_TIME} / ({_ANSWERED} > 0)",
            Unit.SHARE,
            decimals=2,
        ),
        number(
            "Latency budget left",
            "Remaining share of the 30-day latency budget. Below 0: objective missed.",
            _left(f"1 - {_IN_TIME} / ({_ANSWERED} > 0)", "latency_share"),
            Unit.SHARE,
            decimals=0,
            base="red",
            steps=_BUDGET_STEPS,
            alerts=("PotooLatencyBurnsFast", "PotooLatencyBurnsSlowly"),
        ),
        number(
            "Replicas up",
            "Replicas that respond, of those that Prometheus knows.",
            f"sum(up{{{JOB}}})",
            base="red",
            steps=(Step(1, "green"),),
            alerts=("PotooDown", "PotooReplicaDown"),
        ),
        number(
            "Alerts firing",
            "Without Watchdog, which always fires.",
            'count(ALERTS{alertstate="firing",severity=~"page|ticket"}) or vector(0)',
            base="green",
            steps=(Step(1, "orange"),),
        ),
    ),
)

_NOW = Row(
    "Now",
    (
        Panel(
            "Inference requests",
            "Requests per second, by HTTP route and gRPC method.",
            (
                Query(
                    "sum by (route) (rate(potoo_http_request_duration_seconds_count"
                    f'{{{INSTANCE},route=~"{INFERENCE_ROUTES}"}}{RATE})) > 0',
                    "{{route}}",
                ),
                Query(
                    "sum by (method) (rate(potoo_grpc_requests_total"
                    f'{{{INSTANCE},method=~"{INFERENCE_METHODS}"}}{RATE})) > 0',
                    "{{method}}",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
        ),
        Panel(
            "Time to answer /v1/classify",
            "Successful responses, from the request's headers to the last byte; with slow uploads.",
            (
                *(
                    Query(
                        f"histogram_quantile({share}, sum by (le) (rate("
                        f"potoo_http_request_duration_seconds_bucket{{{INSTANCE},"
                        f'route="/v1/classify",status_class="2xx"}}{RATE})))',
                        legend,
                    )
                    for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
                ),
                Query("max(potoo:objective:p95_seconds)", "objective for p95", is_limit=True),
            ),
            Unit.SECONDS,
            alerts=("PotooLatencyBurnsFast",),
        ),
        Panel(
            "Errors by code",
            "Error codes; overloaded, not_ready, deadline_exceeded, inference_failed and "
            "internal_error are server errors, the others are errors of callers.",
            (
                Query(
                    f"sum by (code) (rate(potoo_errors_total{{{INSTANCE}}}{RATE})) > 0", "{{code}}"
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
            alerts=("PotooErrorShareHigh", "PotooAvailabilityBurnsFast"),
        ),
    ),
)


def _burns(promise: str) -> tuple[Query, ...]:
    return tuple(
        Query(f"max(job:potoo_{promise}:burn{window}{{{JOB}}})", window)
        for window in ("5m", "1h", "6h", "3d")
    )


_BURN_HELP = (
    "1 spends the budget in exactly 30 days; 14.4 over an hour and five minutes fires an alert. "
)

_BURNING = Row(
    "Burn rates of the budgets",
    (
        Panel(
            "Failures: burn rate",
            _BURN_HELP + "Share of failed requests, as a multiple of the permitted share.",
            _burns("availability"),
            lines_at=(1, 14.4),
            alerts=("PotooAvailabilityBurnsFast", "PotooAvailabilityBurnsSlowly"),
        ),
        Panel(
            "Late responses: burn rate",
            _BURN_HELP + "Share of late responses, as a multiple of the permitted share.",
            _burns("latency"),
            lines_at=(1, 14.4),
            alerts=("PotooLatencyBurnsFast", "PotooLatencyBurnsSlowly"),
        ),
        Panel(
            "Error share of inference",
            "Server errors and invalid requests, as shares of all inference requests.",
            (
                Query(
                    f"sum(job:potoo_inference_failures:rate5m{{{JOB}}})"
                    f" / (sum(job:potoo_inference_requests:rate5m{{{JOB}}}) > 0)",
                    "ours",
                ),
                Query(
                    "sum(rate(potoo_http_request_duration_seconds_count"
                    f'{{{JOB},status_class="4xx",route=~"{INFERENCE_ROUTES}"}}[5m]))'
                    f" / (sum(job:potoo_inference_requests:rate5m{{{JOB}}}) > 0)",
                    "callers' (HTTP 4xx)",
                ),
            ),
            Unit.SHARE,
            alerts=("PotooErrorShareHigh",),
        ),
    ),
)

_EDGE = Row(
    "Around it",
    (
        Panel(
            "Alerts firing",
            "Watchdog always fires: it shows that rules are evaluated.",
            (Query('count by (alertname, severity) (ALERTS{alertstate="firing"})'),),
            kind=Kind.TABLE,
            columns=("alertname", "severity"),
            alerts=("Watchdog",),
        ),
        Panel(
            "Certificates: days left",
            "Certificates of the public name, of Envoy and of the gRPC port.",
            (
                Query(
                    '(probe_ssl_earliest_cert_expiry{job="public"} - time()) / 86400',
                    "{{instance}}",
                ),
                Query("envoy_server_days_until_first_cert_expiring", "Envoy {{instance}}"),
                Query(
                    f"(potoo_certificate_expiry_timestamp_seconds{{{INSTANCE}}} - time()) / 86400",
                    "{{port}} {{instance}}",
                ),
            ),
            Unit.DAYS,
            lines_at=(10,),
            alerts=("PotooCertificateExpires",),
        ),
        Panel(
            "Responses of Envoy",
            "By status class; errors that no replica counts come from Envoy itself. "
            "Empty if Caddy is the proxy.",
            (
                Query(
                    "sum by (envoy_response_code_class) (rate(envoy_http_downstream_rq_xx"
                    f'{{envoy_http_conn_manager_prefix="edge"}}{RATE}))',
                    "{{envoy_response_code_class}}xx",
                ),
            ),
            Unit.PER_SECOND,
            stacked=True,
            alerts=("PotooEdgeErrors", "PotooEdgeDown"),
        ),
    ),
)

OVERVIEW = Dashboard(
    "overview",
    "Potoo: overview",
    "Service level objectives, traffic and errors.",
    (_PROMISES, _NOW, _BURNING, _EDGE, *RESULTS),
)
