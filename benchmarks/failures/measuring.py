"""Measurement of one scenario under load."""

from __future__ import annotations

import asyncio
import re

from benchmarks.failures.asking import Target, asking
from benchmarks.failures.load import Load, Rates
from benchmarks.failures.scenarios import Scenario
from benchmarks.failures.tables import FailureFigures
from tests.support.proxies.envoy import Envoy
from tests.support.servers.fleet import Fleet

MARGIN_SECONDS = 1
"""Seconds of load before and after the scenario."""


async def measure(
    scenario: Scenario, fleet: Fleet, edge: Envoy, pictures: list[bytes], model: str, rates: Rates
) -> FailureFigures:
    """Run a scenario under load; return the failures that clients see."""
    token = fleet.foreign_token() if scenario.foreign else fleet.token()
    target = Target(edge.url, edge.target, edge.authority, token, model)
    load = Load(asking(target), pictures)
    before = retries(edge)
    async with load.running(rates):
        await asyncio.sleep(MARGIN_SECONDS)
        await asyncio.to_thread(scenario.act, fleet, edge)
        await asyncio.sleep(MARGIN_SECONDS)
    return FailureFigures(scenario.name, load.tallies, retries(edge) - before)


def retries(edge: Envoy) -> int:
    """Return the number of requests that Envoy has retried."""
    found = re.findall(
        r"^envoy_cluster_upstream_rq_retry{.*} (\d+)$", edge.statistics(), re.MULTILINE
    )
    return sum(map(int, found))
