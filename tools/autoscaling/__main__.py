"""``make bench-autoscaling``: simulates autoscaling policies under traces of load.

Replicas have measured costs. A run takes half an hour on one core; ``--models resnet50`` a third of
that, ``--quick`` seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.support import results
from benchmarks.support.models import DEFAULT, RESNET
from benchmarks.support.subject import ROOT
from tools.autoscaling import cluster, figures, one_replica, policies, study, traces
from tools.autoscaling.courses import Course
from tools.autoscaling.hpa import SYNC_SECONDS
from tools.autoscaling.policies import Site
from tools.autoscaling.replica import QUEUE_CAPACITY, TIMEOUT
from tools.autoscaling.simulation import METRICS_SERVER_SECONDS, POLL_SECONDS, Bounds

Tables = dict[str, dict[str, dict[str, Any]]]
"""Summaries by setting and policy."""
SEEDS = {DEFAULT: 1, RESNET: 3}
"""Seeds by model: a faster model has more requests a second, so chance matters less."""
IMAGES = ROOT / "docs/images"
FAST = 30.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulations that the command line selects; print and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-autoscaling", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=SEEDS, default=list(SEEDS))
    parser.add_argument(
        "--quick", action="store_true", help="one seed, traces in fast motion, no variants"
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    parser.add_argument("--results", type=Path, default=results.RESULTS, help="folder")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder")
    given = parser.parse_args(arguments)
    sites = {name: study.calibrated(name) for name in given.models}
    courses: dict[str, dict[str, Course]] = {trace.name: {} for trace in traces.TRACES}
    compared: Tables = {}
    varied: Tables = {}
    for where in sites.values():
        name = where.cost.model
        print(f"\n{name}: {where.cost.per_second:.1f} images/s, C = {where.knee.in_flight}")
        for timeout in (TIMEOUT, study.OBJECTIVE):
            seeds, shorten = (1, FAST) if given.quick else (SEEDS[name], 1.0)
            setting = study.Setting(where, timeout, seeds, shorten)
            print(f"\n{setting.name}\n{study.HEADER}")
            kept = courses if not compared else None
            compared[setting.name] = study.study(setting, policies.compared(where), _say, kept)
            if name == RESNET and not given.quick:
                print()
                varied[setting.name] = study.study(setting, policies.variants(where), _say)
    if given.write:
        checked = {name: one_replica.beside_server(where.cost) for name, where in sites.items()}
        facts = {
            "assumed": _assumed(),
            "models": {name: _facts(where) for name, where in sites.items()},
            "one_replica_beside_the_server": checked,
            "compared": compared,
            "one_thing_changed": varied,
        }
        print(f"\nwritten to {results.write('autoscaling', facts, given.results)}")
        given.images.mkdir(exist_ok=True)
        for trace, by_policy in courses.items():
            figures.course(trace, by_policy, study.OBJECTIVE, given.images)
        figures.summary(compared, given.images)
        figures.beside_server(checked, given.images)


def _assumed() -> dict[str, object]:
    """List the parameters that are assumed, not measured."""
    return {
        "cold_start_seconds": cluster.COLD_START,
        "queue_capacity": QUEUE_CAPACITY,
        "most_replicas": Bounds({}).most,
        "objective_p95_seconds": study.OBJECTIVE,
        "metrics_server_seconds": METRICS_SERVER_SECONDS,
        "poll_seconds": POLL_SECONDS,
        "sync_seconds": SYNC_SECONDS,
    }


def _facts(where: Site) -> dict[str, object]:
    """Collect the costs, the simulated knee and the resulting triggers."""
    return {
        "cost_seconds": asdict(where.cost),
        "images_per_second": where.cost.per_second,
        "knee": asdict(where.knee),
        "policies": [asdict(policy) for policy in policies.compared(where)],
    }


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
