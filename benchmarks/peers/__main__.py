"""``make bench-peers``: measures other servers and Potoo on the same photo and model."""

from __future__ import annotations

import argparse
import sys

from benchmarks.http import plots
from benchmarks.peers import environments, servers
from benchmarks.peers.comparison import SMOKE, Plan, compare
from benchmarks.peers.tables import table
from benchmarks.support import load, models, results
from service.core.engine.pool import usable_cores

MODELS = (models.DEFAULT, models.SMALL, models.SHARED, models.INT8)


def main() -> None:
    """Compare the servers for the options given; print and write the results."""
    arguments = _arguments()
    plan = SMOKE
    if not arguments.smoke:
        plan = Plan(
            arguments.seconds, arguments.rounds, tuple(arguments.clients), arguments.trial_seconds
        )
    compared = {}
    for name in arguments.models:
        if why := models.missing(name):
            print(f"({name} is left out: {why})")
            continue
        try:
            compared[name] = compare(name, plan)
        except load.NoLoadGenerator as error:
            sys.exit(str(error))
        print(table(name, compared[name], usable_cores()), flush=True)
    if arguments.smoke:
        faults = [f"{name}: {fault}" for name, one in compared.items() for fault in one.faults()]
        sys.exit("\n".join(faults) or 0)
    if arguments.write:
        facts: dict[str, object] = {
            "peers": {peer.title: environments.version_of(peer.package) for peer in servers.PEERS},
            "models": {name: found.as_json() for name, found in compared.items()},
        }
        path = results.write("peers", facts)
        plots.peers(compared, path.with_suffix(".png"))
        print(f"written to {path} and {path.with_suffix('.png').name}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements in turn")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument(
        "--trial-seconds", type=float, default=2, help="of each way to run a peer, at the start"
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="only whether every server answers under every load: fails if not, writes nothing",
    )
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args()


if __name__ == "__main__":
    main()
