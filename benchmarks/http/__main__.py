"""``make bench``: compares the server with a bare loop of the same work, interleaved in one run.

Absolute figures drift on shared machines; ratios taken in one run are stable. Writes JSON with
machine and commit, a plot, and a table for people.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from benchmarks.http import microcosts, plots
from benchmarks.http.rounds import Plan, measure
from benchmarks.http.tables import table
from benchmarks.support import load, models, results, revisions
from service.core.engine.pool import usable_cores


def main() -> None:
    """Run the measurements that the command line selects; print and write the results."""
    arguments = _arguments()
    names = []
    for name in arguments.models:
        if why := models.missing(name):
            print(f"({name} is left out: {why})")
        else:
            names.append(name)
    measured = {}
    try:
        with ExitStack() as stack:
            plan = _plan(arguments, stack)
            for name in names:
                measured[name] = measure(name, plan)
                print(table(name, measured[name], usable_cores()), flush=True)
    except (load.NoLoadGenerator, revisions.NoSuchRevision) as error:
        sys.exit(str(error))
    costs = microcosts.measure()
    print("\nMicroseconds of CPU: " + ", ".join(f"{k} {v:.1f}" for k, v in costs.items()))
    if arguments.write:
        facts: dict[str, object] = {
            "against": arguments.against and revisions.commit_of(arguments.against),
            "microseconds": {name: round(cost, 2) for name, cost in costs.items()},
            "models": {name: found.as_json() for name, found in measured.items()},
        }
        path = results.write("http", facts)
        plots.server(measured, path.with_suffix(".png"))
        print(f"written to {path} and {path.with_suffix('.png').name}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements in turn")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--models", nargs="+", choices=models.ALL, default=models.ALL)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[], help="'potoo serve --workers N' beside"
    )
    parser.add_argument("--against", metavar="REV", help="that git revision's server beside")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace, stack: ExitStack) -> Plan:
    earlier = None
    if arguments.against:
        commit = revisions.commit_of(arguments.against)
        tree = stack.enter_context(revisions.checked_out(commit))
        earlier = (arguments.against, tree)
    return Plan(
        arguments.seconds,
        arguments.rounds,
        tuple(arguments.clients),
        tuple(arguments.workers),
        earlier,
    )


if __name__ == "__main__":
    main()
