"""``make bench-failures``: counts failures that clients see when replicas or stores are lost.

Three real replicas on one PostgreSQL and one Redis run behind the shipped Envoy configuration;
clients without retries send at a steady rate while one part after the other is lost.
"""

from __future__ import annotations

import argparse
import asyncio

from benchmarks.failures import scenarios, tables
from benchmarks.failures.load import Rates
from benchmarks.failures.measuring import measure
from benchmarks.failures.scenarios import OUTAGE_SECONDS
from benchmarks.support import models, photo, results
from tests.support.servers.fleet import REPLICAS, balanced


def main() -> None:
    """Run the scenarios that the command line selects; print and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-failures", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--rate", type=float, default=15, help="requests a second, each protocol")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    measured = []
    asked, rates = pictures(), Rates(arguments.rate, arguments.rate)
    outage = {"POTOO_AUTH__STORE_OUTAGE_SECONDS": str(OUTAGE_SECONDS)}
    with models.assembled(models.DEFAULT) as folder, balanced(folder, **outage) as (fleet, edge):
        for scenario in scenarios.ALL:
            if arguments.only in scenario.name:
                one = asyncio.run(measure(scenario, fleet, edge, asked, models.DEFAULT, rates))
                measured.append(one)
                print(tables.line(one), flush=True)
    print(f"\n{tables.markdown(measured)}")
    if arguments.write:
        facts: dict[str, object] = {
            "model": models.DEFAULT,
            "replicas": REPLICAS,
            "rate_per_second": arguments.rate,
            "store_outage_seconds": OUTAGE_SECONDS,
            "scenarios": [one.as_json() for one in measured],
        }
        print(f"written to {results.write('failures', facts)}")


def pictures() -> list[bytes]:
    """Return two pictures with different answers."""
    return [photo.jpeg(), photo.jpeg(picture="chelsea.png")]


if __name__ == "__main__":
    main()
