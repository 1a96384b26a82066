"""Whole simulations: no lost requests, no negative values, deterministic by seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.suite.examples import examples
from tools.autoscaling import __main__ as command
from tools.autoscaling import policies, scoring, study, traces
from tools.autoscaling.policies import Kind, Policy, Site, Trigger
from tools.autoscaling.simulation import Bounds, Run, Simulation
from tools.autoscaling.traces import Arrivals, Trace

pytestmark = pytest.mark.slow

BY_NAME = {trace.name: trace for trace in traces.TRACES}


@pytest.fixture(scope="module")
def where() -> Site:
    return study.calibrated("resnet50")


def run(where: Site, policy: Policy, arrivals: Arrivals, timeout: float = 10, seed: int = 1) -> Run:
    bounds = Bounds(where.document["behaviour"])
    return Simulation(where.cost, policy, bounds, seed, timeout).run(arrivals)


def steps(loads: list[float], per_second: float) -> Arrivals:
    """Ten seconds of each load, in replicas' worth."""

    def shape(at: traces.Floats, _: np.random.Generator) -> traces.Floats:
        return np.asarray([loads[int(second / 10)] for second in at])

    return traces.draw(Trace("steps", 10.0 * len(loads), shape), per_second, seed=3)


@examples(25)
@given(
    loads=st.lists(st.floats(0, 12), min_size=1, max_size=12),
    timeout=st.sampled_from([0.05, 0.2, 1.0, 10.0]),
    number=st.integers(0, 7),
)
def test_every_request_is_answered_or_refused_once(
    where: Site, loads: list[float], timeout: float, number: int
) -> None:
    arrivals = steps(loads, where.cost.per_second)
    policy = policies.compared(where)[number]
    done = run(where, policy, arrivals, timeout)
    assert sorted(done.books.arrived) == arrivals.times
    good = [latency for latency in done.books.latency if latency >= 0]
    assert all(0 < latency <= timeout + 1e-9 for latency in good)
    for moment in done.moments:
        assert moment.depth >= 0
        assert 1 <= moment.ready <= moment.size
        assert 2 <= moment.size <= Bounds({}).most
    assert done.pod_seconds >= 2 * done.seconds


def test_same_seed_gives_the_same_run(where: Site) -> None:
    arrivals = traces.draw(BY_NAME["spike"], where.cost.per_second, 1, shorten=4)
    ours = policies.shipped(where)
    first, second, other = (run(where, ours, arrivals, seed=seed) for seed in (1, 1, 2))
    assert first.books.latency == second.books.latency
    assert first.moments == second.moments
    assert first.books.latency != other.books.latency


def test_fixed_policy_costs_its_replicas(where: Site) -> None:
    done = run(where, Policy("fixed", fixed=3), steps([1, 1, 1], where.cost.per_second))
    assert done.pod_seconds == pytest.approx(3 * 30)
    assert {moment.size for moment in done.moments} == {3}


def test_replicas_scale_up_on_a_spike_and_down_after(where: Site) -> None:
    arrivals = traces.draw(BY_NAME["spike"], where.cost.per_second, 1)
    sizes = [moment.size for moment in run(where, policies.shipped(where), arrivals).moments]
    assert sizes[0] == 2
    assert 6 <= max(sizes) <= 20
    assert sizes[-1] < max(sizes)


def test_autoscaler_without_answers_removes_no_replica(where: Site) -> None:
    class Blind(Policy):
        """Its query never has an answer."""

    blind = Blind("blind", (Trigger("queue_wait", Kind.VALUE, 0.05),))
    nobody = steps([0.0] * 12, where.cost.per_second)
    assert {moment.size for moment in run(where, blind, nobody).moments} == {2}


@pytest.mark.parametrize("trace", traces.TRACES, ids=lambda trace: trace.name)
def test_trace_matches_its_description(trace: Trace, where: Site) -> None:
    arrivals = traces.draw(trace, where.cost.per_second, seed=5)
    assert arrivals.times == sorted(arrivals.times)
    assert len(arrivals.times) == len(arrivals.owners) == len(arrivals.large)
    assert len(arrivals.times) == pytest.approx(arrivals.rates.sum(), rel=0.02)
    assert (traces.HOT in arrivals.owners) == (trace.hot is not None)
    assert any(arrivals.large) == (trace.large is not None)
    peak = arrivals.rates.max() / where.cost.per_second
    assert peak < policies.PEAK_REPLICAS + 1
    if trace.name == "spike":
        assert arrivals.rates.max() == pytest.approx(8 * arrivals.rates[0])


def test_confidence_interval_uses_students_t() -> None:
    # By hand: mean 2, standard deviation 1, three values: 4.303 / sqrt(3).
    assert scoring.interval([1.0, 2.0, 3.0]) == pytest.approx(2.4843, rel=1e-3)
    assert scoring.interval([1.0]) is None


@pytest.mark.process
def test_study_command_writes_results_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(
        ["--quick", "--models", "resnet50", "--results", str(tmp_path), "--images", str(tmp_path)]
    )
    (written,) = tmp_path.glob("*-autoscaling.json")
    found = json.loads(written.read_text())
    assert {"machine", "commit", "assumed", "compared"} <= set(found)
    for by_policy in found["compared"].values():
        assert policies.SHIPPED in by_policy
        for summary in by_policy.values():
            assert set(summary["traces"]) == set(BY_NAME)
            assert 0 <= summary["mean"]["in_time"] <= 1
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert {"autoscaling-spike.png", "autoscaling-summary.png"} <= pictures
    assert "thresholds" in capsys.readouterr().out
