"""Counting and reporting of failures that clients notice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from benchmarks.failures.asking import HTTP, INFER, PREDICT, SIGN_IN, Ask, Refused
from benchmarks.failures.load import GRPC, Load, Rates, Tally
from benchmarks.failures.tables import FailureFigures, line, markdown, read
from tests.support.repository import ROOT

ENOUGH = 20


class Server:
    """Answers the first ``well`` pictures with themselves, and others with ``fault``."""

    def __init__(self, fault: Exception | object, well: int) -> None:
        self._fault, self._well, self._asked = fault, well, 0
        self.enough = asyncio.Event()

    async def ask(self, picture: bytes) -> object:
        self._asked += 1
        if self._asked >= ENOUGH:
            self.enough.set()
        if self._asked <= self._well:
            return picture
        if isinstance(self._fault, Exception):
            raise self._fault
        return self._fault

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[dict[str, Ask]]:
        yield dict.fromkeys((HTTP, PREDICT, INFER, SIGN_IN), self.ask)


def tally(server: Server) -> Tally:
    """Outcomes of some requests over HTTP."""
    load = Load(server.asking(), [b"one", b"other"])

    async def run() -> None:
        async with load.running(Rates(http=200, grpc=0.001, sign_in=0.001)):
            await server.enough.wait()

    asyncio.run(run())
    return load.tallies[HTTP]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (b"other people's", "a wrong answer"),
        (Refused("503 not_ready"), "503 not_ready"),
        (httpx.ReadError("reset"), "ReadError"),
    ],
)
def test_every_failure_is_counted_by_kind(fault: Exception | object, kind: str) -> None:
    found = tally(Server(fault, well=12))
    assert found.failures == Counter({kind: found.failed})
    assert 0 < found.failed <= found.requests


def test_correct_answers_count_no_failures() -> None:
    found = tally(Server(None, well=10**6))
    assert found.requests > 5
    assert found.failed == 0


def test_table_shows_failures_by_kind_and_count() -> None:
    measured = FailureFigures(
        "a replica is lost",
        {
            HTTP: Tally(100, 1.234),
            GRPC: Tally(50, 0.5, Counter(UNAVAILABLE=2)),
            SIGN_IN: Tally(5, 0.1),
        },
        retries=7,
    )
    (*_, row) = markdown([measured]).splitlines()
    assert row == (
        "| a replica is lost | 0 of 100, 1.23 s | **2** of 50, 0.50 s (2 x UNAVAILABLE) "
        "| 0 of 5, 0.10 s | 7 |"
    )
    assert "2 of 50 failed" in line(measured)
    found = json.loads(json.dumps(measured.as_json()))
    assert found["gRPC"] == {
        "requests": 50,
        "failed": 2,
        "failures": {"UNAVAILABLE": 2},
        "slowest_seconds": 0.5,
    }


def test_documented_failure_table_matches_the_newest_result() -> None:
    newest = max((ROOT / "benchmarks" / "results").glob("*-failures*.json"))
    table = markdown(read(json.loads(newest.read_text())))
    assert table in (ROOT / "docs" / "operations.md").read_text()
