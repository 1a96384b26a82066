"""Dashboard of the models and versions that answer, and of loads and swaps."""

from __future__ import annotations

from tools.grafana.panels import (
    JOB,
    MODEL,
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
_HOUR = f"{{{MODEL}}}[1h]"

_NOW = Row(
    "Now",
    (
        number(
            "Models ready everywhere",
            "Models that are ready on every replica.",
            f"sum(min by (model) (potoo_model_ready{{{MODEL}}}))",
            base="red",
            steps=(Step(1, "green"),),
            alerts=("PotooModelNotReady",),
        ),
        number(
            "Not ready",
            "Pairs of model and replica; disabled models are not counted.",
            f"count(potoo_model_ready{{{MODEL}}} == 0 and on (job, instance, model) "
            'potoo_model_version_state{state=~"LOADING|READY|FAILED"} == 1) or vector(0)',
            base="green",
            steps=(Step(1, "red"),),
            alerts=("PotooReplicaNotReady",),
        ),
        number(
            "Versions failed",
            "Versions that failed a check on any replica, each counted once.",
            "count(count by (job, model, version) "
            f'(potoo_model_version_state{{{MODEL},state="FAILED"}} == 1)) or vector(0)',
            base="green",
            steps=(Step(1, "orange"),),
            alerts=("PotooModelLoadFailed",),
        ),
        number(
            "Loads within the hour",
            "On all replicas together.",
            f"sum(increase(potoo_model_load_duration_seconds_count{_HOUR}))",
            decimals=0,
        ),
        number(
            "Failures within the hour",
            "On all replicas together.",
            f"sum(increase(potoo_model_load_failures_total{_HOUR}))",
            decimals=0,
            base="green",
            steps=(Step(0.5, "orange"),),
            alerts=("PotooModelLoadFailed",),
        ),
        number(
            "Not sure",
            "Share of images whose best score is below the model's threshold.",
            f"sum(rate(potoo_abstentions_total{{{MODEL}}}[5m]))"
            f" / (sum(rate(potoo_predictions_total{{{MODEL}}}[5m])) > 0)",
            Unit.SHARE,
            decimals=1,
        ),
    ),
)

_VERSIONS = Row(
    "Versions",
    (
        Panel(
            "Loaded, by replica",
            "Versions that requests may reach. Replicas should agree.",
            (
                Query(
                    f"max by (instance, model, version, sha256) (potoo_model_info{{{MODEL}}}) == 1"
                ),
            ),
            kind=Kind.TABLE,
            columns=("instance", "model", "version", "sha256"),
            width=12,
            alerts=("PotooReplicasDisagree",),
        ),
        Panel(
            "Replicas that serve a version",
            "During a swap one version falls while the other rises.",
            (
                Query(
                    f'sum by (model, version) (potoo_model_version_state{{{MODEL},state="READY"}})',
                    "{{model}} {{version}}",
                ),
            ),
            width=12,
            alerts=("PotooReplicasDisagree",),
        ),
        Panel(
            "Ready",
            "1 while the default version is warm and its canary passes.",
            (Query(f"potoo_model_ready{{{MODEL}}}", "{{model}} at {{instance}}"),),
            width=12,
            maximum=1.1,
            alerts=("PotooModelNotReady", "PotooReplicaNotReady"),
        ),
        Panel(
            "Images a second, by model",
            "The load that a failure of the model would affect.",
            (
                Query(
                    f"sum by (model) (rate(potoo_predictions_total{{{MODEL}}}{RATE}))", "{{model}}"
                ),
            ),
            Unit.PER_SECOND,
            width=12,
            stacked=True,
        ),
    ),
)

_DRIFT = Row(
    "Drift",
    (
        Panel(
            "Population stability index",
            "Of recent answers against the reference: above 0.25 they have drifted, unless that is "
            "chance.",
            (
                Query(
                    f"max by (model, version, source, quantity) (potoo_drift_psi{{{MODEL}}})",
                    "{{model}} {{version}} {{source}} {{quantity}}",
                ),
            ),
            width=16,
            alerts=("PotooModelDrifts",),
        ),
        Panel(
            "Answers compared",
            "Within the window.",
            (
                Query(
                    f"sum by (model, version, source) (potoo_drift_answers{{{MODEL}}})",
                    "{{model}} {{version}} {{source}}",
                ),
            ),
        ),
    ),
)

_SWAPS = Row(
    "Loads and swaps",
    (
        Panel(
            "Loads and failures",
            "Within five minutes.",
            (
                Query(
                    "sum by (model) (increase(potoo_model_load_duration_seconds_count"
                    f"{{{MODEL}}}[5m]))",
                    "{{model}} loaded",
                ),
                Query(
                    f"sum by (model) (increase(potoo_model_load_failures_total{{{MODEL}}}[5m]))",
                    "{{model}} failed",
                ),
            ),
            alerts=("PotooModelLoadFailed",),
        ),
        Panel(
            "Time to load",
            "Mean of the last hour, with checks and warm-up.",
            (
                Query(
                    f"sum by (model) (rate(potoo_model_load_duration_seconds_sum{_HOUR})) / "
                    f"(sum by (model) (rate(potoo_model_load_duration_seconds_count{_HOUR})) > 0)",
                    "{{model}}",
                ),
            ),
            Unit.SECONDS,
        ),
        Panel(
            "Changes through the API",
            "Loaded, unloaded, promoted, rolled back; the security log names the account.",
            (
                Query(
                    "sum by (event) (increase(potoo_audit_events_total"
                    f'{{{JOB},event=~"model_(loaded|unloaded|promoted|rolled_back)"}}[5m]))',
                    "{{event}}",
                ),
            ),
        ),
        Panel(
            "Not sure, by model",
            "A rise means that callers send other subjects, or that a version is worse.",
            (
                Query(
                    f"sum by (model) (rate(potoo_abstentions_total{{{MODEL}}}{RATE}))"
                    f" / (sum by (model) (rate(potoo_predictions_total{{{MODEL}}}{RATE})) > 0)",
                    "{{model}}",
                ),
            ),
            Unit.SHARE,
            width=24,
        ),
    ),
)

_ROLLOUTS = Row(
    "Versions that are tried",
    (
        Panel(
            "Share",
            "Of callers (canary) or calls (shadow) that the tried version gets.",
            (
                Query(
                    f"max by (model, version, mode) (potoo_rollout_share{{{MODEL}}})",
                    "{{model}} {{version}} {{mode}}",
                ),
            ),
            Unit.SHARE,
        ),
        Panel(
            "Agreement of shadows",
            "Share of copies with the same first label, within five minutes.",
            (
                Query(
                    "sum by (model) (increase(potoo_rollout_calls_total"
                    f'{{{MODEL},outcome="agreed"}}[5m]))'
                    " / (sum by (model) "
                    f"(increase(potoo_rollout_compared_total{{{MODEL}}}[5m])) > 0)",
                    "{{model}}",
                ),
            ),
            Unit.SHARE,
        ),
        Panel(
            "Calls, by version and outcome",
            "Within five minutes.",
            (
                Query(
                    "sum by (model, version, outcome) "
                    f"(increase(potoo_rollout_calls_total{{{MODEL}}}[5m]))",
                    "{{model}} {{version}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Ended by rule",
            "Within the hour.",
            (
                Query(
                    f"sum by (model, reason) (increase(potoo_rollouts_ended_total{_HOUR}))",
                    "{{model}} {{reason}}",
                ),
            ),
            alerts=("PotooRolloutRolledBack",),
        ),
    ),
)

MODELS = Dashboard(
    "models",
    "Potoo: models and swaps",
    "Models and versions in service, loads and swaps.",
    (_NOW, _VERSIONS, _ROLLOUTS, _DRIFT, _SWAPS),
)
