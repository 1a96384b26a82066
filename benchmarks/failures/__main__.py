"""``make bench-failures``: what clients notice while replicas, stores or an issuer are lost.

Three real replicas on one PostgreSQL and one Redis stand behind the shipped Envoy configuration;
clients that send nothing twice ask at a steady rate while one thing after the other is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import re

from benchmarks import models, photo, results
from benchmarks.failures import scenarios, tables
from benchmarks.failures.load import Load, Rates, Target
from benchmarks.failures.scenarios import OUTAGE_SECONDS, Scenario
from benchmarks.failures.tables import Measured
from tests.envoy import Envoy, envoy
from tests.fleet import Fleet, fleet


def main() -> None:
    """Reads the command line, measures, prints, writes."""
    parser = argparse.ArgumentParser(prog="make bench-failures", description=__doc__)
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--rate", type=float, default=15, help="requests a second, each protocol")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    measured = []
    with models.assembled(models.DEFAULT) as folder:
        outage = {"POTOO_AUTH__STORE_OUTAGE_SECONDS": str(OUTAGE_SECONDS)}
        with fleet(folder, **outage) as replicas:
            http = [replica.http for replica in replicas.replicas]
            grpc = [replica.grpc for replica in replicas.replicas]
            with envoy(http, grpc) as edge:
                for scenario in scenarios.ALL:
                    if arguments.only in scenario.name:
                        one = asyncio.run(measure(scenario, replicas, edge, arguments.rate))
                        measured.append(one)
                        print(tables.line(one), flush=True)
    print(f"\n{tables.markdown(measured)}")
    if arguments.write:
        facts: dict[str, object] = {
            "model": models.DEFAULT,
            "replicas": 3,
            "rate_per_second": arguments.rate,
            "store_outage_seconds": OUTAGE_SECONDS,
            "scenarios": [one.as_json() for one in measured],
        }
        print(f"written to {results.write('failures', facts)}")


async def measure(scenario: Scenario, replicas: Fleet, edge: Envoy, rate: float) -> Measured:
    """One scenario under load."""
    token = replicas.foreign_token() if scenario.foreign else replicas.token()
    load = Load(Target(edge.url, edge.target, edge.authority, token), pictures(), models.DEFAULT)
    before = retries(edge)
    async with load.running(Rates(rate, rate)):
        await asyncio.sleep(1)
        await asyncio.to_thread(scenario.act, replicas, edge)
        await asyncio.sleep(1)
    return Measured(scenario.name, load.tallies, retries(edge) - before)


def pictures() -> list[bytes]:
    """Two that are answered differently."""
    return [photo.jpeg(), photo.jpeg(picture="chelsea.png")]


def retries(edge: Envoy) -> int:
    """How many requests Envoy has sent once more."""
    found = re.findall(
        r"^envoy_cluster_upstream_rq_retry{.*} (\d+)$", edge.statistics(), re.MULTILINE
    )
    return sum(map(int, found))


if __name__ == "__main__":
    main()
