"""Three replicas behind Envoy, under load: clients do not notice lost components.

The same scenarios at full length, with a real model, are ``make bench-failures``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from grpc_health.v1 import health_pb2

from benchmarks.failures import asking, load, scenarios
from benchmarks.failures.asking import HTTP, SIGN_IN
from benchmarks.failures.load import GRPC, Rates
from benchmarks.failures.measuring import measure
from benchmarks.failures.scenarios import Act, Scenario
from benchmarks.failures.tables import FailureFigures
from tests.support.models.pictures import GREEN, RED, plain
from tests.support.proxies.envoy import Envoy
from tests.support.servers.fleet import Fleet, balanced
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.alone]

RATES = Rates(http=10, grpc=10, sign_in=2)
PATIENCE = 60.0
"""Time-out of the clients instead of ten seconds, since a busy machine may delay them."""


@pytest.fixture(autouse=True)
def patient_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (asking, load):
        monkeypatch.setattr(module, "DEADLINE_SECONDS", PATIENCE)


@pytest.fixture(scope="module")
def edge(colours: Path) -> Iterator[tuple[Fleet, Envoy]]:
    with balanced(colours) as (fleet, envoy):
        yield fleet, envoy


def under_load(edge: tuple[Fleet, Envoy], act: Act) -> FailureFigures:
    """Failures that clients notice during ``act``."""
    pictures = [plain(RED, format="JPEG"), plain(GREEN, format="JPEG")]
    return asyncio.run(measure(Scenario("", act), *edge, pictures, "colours", RATES))


def check_nobody_noticed(measured: FailureFigures) -> None:
    """Check that every image was sent once and classified correctly."""
    for protocol in (HTTP, GRPC):
        tally = measured.tallies[protocol]
        assert tally.requests > 20
        assert not tally.failures, (protocol, tally.failures)


@pytest.mark.parametrize("protocol", ["access", "grpc"])
def test_replicas_see_the_real_client_address(edge: tuple[Fleet, Envoy], protocol: str) -> None:
    fleet, envoy = edge
    name = f"from-outside-by-{protocol}"
    pretended = {"x-forwarded-for": "203.0.113.7", "x-request-id": name}
    if protocol == "grpc":
        with envoy.edge.channel() as channel:
            check = health_pb2.HealthCheckRequest()
            envoy.edge.rpc(channel).call("Check", check, timeout=60, **pretended)
    else:
        with envoy.edge.client(headers=pretended) as client:
            client.get("/healthz").raise_for_status()

    def seen() -> list[str]:
        lines = "".join(replica.server.events() for replica in fleet.replicas).splitlines()
        events = (json.loads(line) for line in lines if name in line)
        return [event["client"] for event in events]

    assert wait_until(lambda: bool(seen()))
    (address,) = seen()
    # Envoy does not connect to this machine by its loopback address if it has another one.
    own = {one.address for found in psutil.net_if_addrs().values() for one in found}
    assert address in own


def test_killed_replica_is_unnoticed_by_clients(edge: tuple[Fleet, Envoy]) -> None:
    measured = under_load(edge, partial(scenarios.kill, times=1, holding=1))
    check_nobody_noticed(measured)
    assert measured.retries


def test_stopped_replica_is_unnoticed_by_clients(edge: tuple[Fleet, Envoy]) -> None:
    measured = under_load(edge, partial(scenarios.drain, times=1))
    check_nobody_noticed(measured)
    assert not measured.tallies[SIGN_IN].failures


def test_hanging_replica_is_unnoticed_by_clients(edge: tuple[Fleet, Envoy]) -> None:
    measured = under_load(edge, partial(scenarios.hang, seconds=8))
    check_nobody_noticed(measured)
    assert measured.retries


def test_replica_with_a_full_disk_is_unnoticed_by_clients(edge: tuple[Fleet, Envoy]) -> None:
    measured = under_load(edge, partial(scenarios.fill_disk, seconds=3))
    check_nobody_noticed(measured)
    assert not measured.tallies[SIGN_IN].failures


def test_lost_database_only_delays_sign_ins(
    edge: tuple[Fleet, Envoy],
) -> None:
    measured = under_load(edge, partial(scenarios.lose_database, seconds=3))
    check_nobody_noticed(measured)
    assert set(measured.tallies[SIGN_IN].failures) == {"503 not_ready"}
