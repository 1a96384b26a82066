"""gRPC clients with client-side load balancing, as in docs/operating/load-balancing.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import grpc
import httpx
import pytest

from schemas.pb import potoo_pb2
from tests.support.callers.rpc import METHODS, Client
from tests.support.models.pictures import encoded, noise
from tests.support.repository import ROOT
from tests.support.servers.fleet import Fleet, Replica, fleet
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PREDICT = METHODS["Predict"][0].lstrip("/")
CALLS_A_SECOND = 10
SHIPPED_TIMEOUT, TIMEOUT = '"timeout": "10s"', '"timeout": "60s"'
"""A time-out for busy machines."""
LARGE = encoded(noise((800, 600)))
"""A megabyte: more than gRPC buffers for retries by default."""


@pytest.fixture(scope="module")
def replicas(colours: Any) -> Iterator[Fleet]:
    with fleet(colours) as running:
        yield running


@pytest.fixture
def client(replicas: Fleet) -> Iterator[Client]:
    """A client with the documented channel, connected to all replicas."""
    (example,) = re.findall(
        r"```python\n(.*?)```",
        (ROOT / "docs" / "operating" / "load-balancing.md").read_text(),
        flags=re.DOTALL,
    )
    addresses = ",".join(f"{host}:{port}" for host, port in (one.grpc for one in replicas.replicas))
    assert SHIPPED_TIMEOUT in example
    names: dict[str, Any] = {"TARGET": f"ipv4:{addresses}"}
    exec(example.replace(SHIPPED_TIMEOUT, TIMEOUT), names)  # noqa: S102 - our own words
    channel: grpc.Channel = names["channel"]
    with channel:
        rpc = Client(channel, replicas.token())

        def all_are_asked() -> bool:
            before = [answered(replica) for replica in replicas.replicas]
            for _ in before:
                rpc.ask("Predict", picture())
            return all(
                answered(one) > count for one, count in zip(replicas.replicas, before, strict=True)
            )

        assert wait_until(all_are_asked)
        yield rpc


def picture() -> potoo_pb2.PredictRequest:
    return potoo_pb2.PredictRequest(image_data=LARGE)


def answered(replica: Replica) -> float:
    """Number of predictions by a replica."""
    text = httpx.get(f"{replica.server.url}/metrics", timeout=60).text
    series = re.escape(f'potoo_grpc_requests_total{{code="OK",method="{PREDICT}"}}')
    found = re.search(rf"^{series} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0


@dataclass
class Calls:
    """Outcomes of calls at a constant rate."""

    begun: int = 0
    ended: int = 0
    failed: list[grpc.RpcError] = field(default_factory=list)

    def make(self, client: Client) -> None:
        self.begun += 1
        try:
            client.ask("Predict", picture())
        except grpc.RpcError as error:
            self.failed.append(error)
        self.ended += 1


@contextmanager
def under_load(client: Client) -> Iterator[Calls]:
    """Send calls while the block runs; wait for all of them at its end."""
    over, calls = Event(), Calls()

    def send(threads: ThreadPoolExecutor) -> None:
        while not over.wait(1 / CALLS_A_SECOND):
            threads.submit(calls.make, client)

    with ThreadPoolExecutor(64) as threads, ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send, threads)
        try:
            yield calls
        finally:
            over.set()
            sending.result()


def test_calls_are_spread_evenly(replicas: Fleet, client: Client) -> None:
    before = [answered(one) for one in replicas.replicas]
    for _ in range(30):
        client.ask("Predict", picture())
    after = [answered(one) for one in replicas.replicas]
    assert [late - early for early, late in zip(before, after, strict=True)] == [10, 10, 10]


def kill_with_calls_in_hand(victim: Replica, calls: Calls) -> None:
    with victim.frozen():
        assert wait_until(lambda: calls.begun - calls.ended >= 5)
        victim.kill()


def stop(victim: Replica, _: Calls) -> None:
    victim.stop()


@pytest.mark.parametrize("end", [kill_with_calls_in_hand, stop])
def test_lost_replica_loses_no_call(
    replicas: Fleet, client: Client, end: Callable[[Replica, Calls], None]
) -> None:
    victim, *others = replicas.replicas
    with under_load(client) as calls:
        assert wait_until(lambda: calls.ended >= CALLS_A_SECOND)
        end(victim, calls)
        counts = [answered(one) for one in others]
        assert wait_until(
            lambda: all(answered(one) > count for one, count in zip(others, counts, strict=True))
        )
        victim.start()
        # gRPC reconnects at growing intervals.
        assert wait_until(lambda: answered(victim) > 0, patience=120)
    assert not calls.failed, calls.failed
