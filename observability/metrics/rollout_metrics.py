"""Prometheus metrics of rollouts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.rollout import Rollout, RolloutEnd

OUTCOMES = ("answered", "failed", "agreed", "differed", "dropped")
"""Answered and failed: of either version. Agreed, differed and dropped: copies of calls."""


class RolloutMetrics:
    """The series of rollouts; a model has some from its first one on."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._share = Gauge(
            "potoo_rollout_share_ratio",
            "Share of callers (canary) or of calls (shadow) that a tried version gets; 0: ended.",
            ["model", "version", "mode"],
            multiprocess_mode="max",
            registry=registry,
        )
        self._calls = Counter(
            "potoo_rollout_calls",
            "Calls during a rollout, by version and outcome.",
            ["model", "version", "outcome"],
            registry=registry,
        )
        self._compared = Counter(
            "potoo_rollout_compared",
            "Copies of calls that both versions answered.",
            ["model"],
            registry=registry,
        )
        self._shift = Gauge(
            "potoo_rollout_score_shift_ratio",
            "Mean difference of the first score, tried less current version.",
            ["model"],
            multiprocess_mode="livemostrecent",
            registry=registry,
        )
        self._ended = Counter(
            "potoo_rollouts_ended",
            "Rollouts that ended by rule.",
            ["model", "reason"],
            registry=registry,
        )

    def begin(self, name: str, rollout: Rollout) -> None:
        """Show a rollout, with all its series."""
        version = str(rollout.version)
        self._share.labels(name, version, rollout.mode.value).set(rollout.share)
        for outcome in OUTCOMES:
            self._calls.labels(name, version, outcome)
        for reason in RolloutEnd:
            self._ended.labels(name, reason.value)
        self._compared.labels(name)
        self._shift.labels(name)

    def end(self, name: str, rollout: Rollout) -> None:
        """Show that a rollout is over in this process."""
        self._share.labels(name, str(rollout.version), rollout.mode.value).set(0)

    def count(self, name: str, version: int, outcome: str) -> None:
        """Count a call; ``outcome``: one of ``OUTCOMES``."""
        self._calls.labels(name, str(version), outcome).inc()

    def compare(self, name: str, shift: float) -> None:
        """Count a call that both versions answered; ``shift``: mean of first scores so far."""
        self._compared.labels(name).inc()
        self._shift.labels(name).set(shift)

    def ended(self, name: str, reason: RolloutEnd) -> None:
        """Count a rollout that ended by rule."""
        self._ended.labels(name, reason.value).inc()
