"""The comparison: every policy on every trace, several seeds, two kinds of callers, two models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tools.autoscaling import costs, one_replica, scoring, traces
from tools.autoscaling.courses import Course
from tools.autoscaling.figures import DRAWN
from tools.autoscaling.policies import Policy, Site, site
from tools.autoscaling.scoring import Score
from tools.autoscaling.simulation import Bounds, Run, Simulation
from tools.autoscaling.traces import Arrivals, Trace

OBJECTIVE = 0.2
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """One model and the callers' timeout in seconds; ``shorten``: factor to shorten traces by."""

    where: Site
    timeout: float
    seeds: int
    shorten: float = 1.0

    @property
    def name(self) -> str:
        """Title in tables."""
        return f"{self.where.cost.model}, deadline {self.timeout:g} s"

    def arrivals(self, trace: Trace, seed: int) -> Arrivals:
        """Draw the arrivals, the same for every policy."""
        return traces.draw(trace, self.where.cost.per_second, seed, self.shorten)

    def run(self, policy: Policy, arrivals: Arrivals, seed: int) -> Run:
        """Simulate one policy on one trace."""
        bounds = Bounds(self.where.document["behaviour"])
        return Simulation(self.where.cost, policy, bounds, seed, self.timeout).run(arrivals)


def calibrated(model: str) -> Site:
    """Return the measured cost of a model and the resulting knee."""
    cost = costs.measured(model)
    return site(cost, OBJECTIVE, one_replica.knee(cost, OBJECTIVE))


def study(
    setting: Setting,
    policies: Iterable[Policy],
    say: Say,
    courses: dict[str, dict[str, Course]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return summaries by policy; fill ``courses`` with the first seed's, by trace and policy."""
    known = {
        (trace.name, seed): setting.arrivals(trace, seed)
        for trace in traces.TRACES
        for seed in range(setting.seeds)
    }
    found = {}
    for policy in policies:
        by_seed: list[dict[str, Score]] = [{} for _ in range(setting.seeds)]
        for (trace, seed), arrivals in known.items():
            run = setting.run(policy, arrivals, seed)
            by_seed[seed][trace] = scoring.score(run, OBJECTIVE)
            if courses and not seed and policy.name in DRAWN:
                course = Course.of(run, arrivals.rates, by_seed[seed][trace], OBJECTIVE)
                courses[trace][policy.name] = course
        found[policy.name] = scoring.summary(by_seed)
        say(line(policy.name, by_seed))
    return found


HEADER = f"{'':26}{'in time':>8}{'refused':>9}{'replica-hours':>15}   in time on " + ", ".join(
    trace.name for trace in traces.TRACES
)


def line(name: str, by_seed: list[dict[str, Score]]) -> str:
    """Format the mean figures of a policy as a line of the table."""
    mean = scoring.mean(score for scores in by_seed for score in scores.values())
    each = (
        scoring.mean(scores[trace.name] for scores in by_seed).in_time for trace in traces.TRACES
    )
    return f"{name:26}{mean.in_time:>8.2%}{mean.refused:>9.2%}{mean.hours:>15.2f}   " + "  ".join(
        f"{share:.1%}" for share in each
    )
