"""Failure scenarios. At the end of each all components are ready again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.support.proxies.envoy import Envoy
from tests.support.servers.fleet import Fleet, Replica

OUTAGE_SECONDS = 10
"""``store_outage_seconds`` of the replicas: seconds that tokens are valid without the store."""
KILLS, DRAINS = 4, 3
HOLDING = 0.5
PATIENCE = 120
Act = Callable[[Fleet, Envoy], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario; ``act`` runs under load. ``foreign``: callers use the trusted issuer's tokens."""

    name: str
    act: Act
    foreign: bool = False


def quiet(fleet: Fleet, edge: Envoy) -> None:
    """Run without a failure, for comparison."""
    del fleet, edge
    time.sleep(10)


def kill(fleet: Fleet, edge: Envoy, times: int = KILLS, holding: float = 0) -> None:
    """Kill replicas one after the other, each as soon as all are back.

    Args:
        holding: seconds that each is frozen first, so that it dies with requests in flight.
    """
    for replica in _in_turn(fleet, times):
        with replica.frozen():
            time.sleep(holding)
            replica.kill()
        time.sleep(2)
        replica.start()
        until_balanced(fleet, edge)


def drain(fleet: Fleet, edge: Envoy, times: int = DRAINS) -> None:
    """Restart replicas one after the other, as a roll-out does."""
    for replica in _in_turn(fleet, times):
        replica.stop()
        replica.start()
        until_balanced(fleet, edge)


def hang(fleet: Fleet, edge: Envoy, seconds: float = 8) -> None:
    """Freeze a replica: it accepts connections and answers nothing."""
    with fleet.replicas[0].frozen():
        time.sleep(seconds)
    until_balanced(fleet, edge)


def fill_disk(fleet: Fleet, edge: Envoy, seconds: float = 8) -> None:
    """Fill the disk of one replica, which cannot write its log either."""
    with fleet.replicas[0].without_disk():
        time.sleep(seconds)
    until_balanced(fleet, edge)


def lose_database(fleet: Fleet, edge: Envoy, seconds: float = OUTAGE_SECONDS / 2) -> None:
    """Stop PostgreSQL for less time than tokens are accepted without it."""
    fleet.postgres.stop()
    time.sleep(seconds)
    fleet.postgres.start()
    until_balanced(fleet, edge)


def lose_database_for_long(fleet: Fleet, edge: Envoy) -> None:
    """Stop PostgreSQL for longer than tokens are accepted without it."""
    lose_database(fleet, edge, 2 * OUTAGE_SECONDS)


def lose_redis(fleet: Fleet, edge: Envoy) -> None:
    """Stop Redis; rates are not counted meanwhile."""
    fleet.redis.stop()
    time.sleep(8)
    fleet.redis.start()
    until_balanced(fleet, edge)


def lose_issuer(fleet: Fleet, edge: Envoy) -> None:
    """Stop the issuer, whose keys are cached already."""
    fleet.issuer.down()
    time.sleep(8)
    fleet.issuer.up()
    until_balanced(fleet, edge)


def until_balanced(fleet: Fleet, edge: Envoy) -> None:
    """Wait until all replicas are ready and Envoy sees them as healthy."""
    fleet.until_ready()
    deadline = time.monotonic() + PATIENCE
    while min(edge.healthy("http"), edge.healthy("grpc")) < len(fleet.replicas):
        assert time.monotonic() < deadline, edge.log()
        time.sleep(0.1)


def _in_turn(fleet: Fleet, times: int) -> list[Replica]:
    return [fleet.replicas[number % len(fleet.replicas)] for number in range(times)]


ALL = (
    Scenario("nothing is lost", quiet),
    Scenario(f"a replica is killed (SIGKILL), {KILLS} times", kill),
    Scenario(f"the same, each with requests in hand ({HOLDING} s)", partial(kill, holding=HOLDING)),
    Scenario(f"a replica is stopped (SIGTERM), {DRAINS} times", drain),
    Scenario("a replica hangs for 8 s (SIGSTOP)", hang),
    Scenario("a replica cannot write for 8 s", fill_disk),
    Scenario(f"PostgreSQL is away for {OUTAGE_SECONDS // 2} s", lose_database),
    Scenario(f"PostgreSQL is away for {2 * OUTAGE_SECONDS} s", lose_database_for_long),
    Scenario("Redis is away for 8 s", lose_redis),
    Scenario("the issuer is away for 8 s", lose_issuer, foreign=True),
)
