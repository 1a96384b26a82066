"""``python -m benchmarks.rollout``: latency of calls while a version runs as a shadow.

Clients ask at a fixed rate, below what the server can answer. In turns, a copy of the same version
is tried as a shadow, or not; the slowest answers of each turn are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path

import httpx

from benchmarks.support import models, photo, results, subject
from benchmarks.support.measuring import ratio
from benchmarks.swap import with_two_versions
from service.calibrate.load import Load, Target, closed_loop, open_loop

BAR = 1.1
Sample = dict[str, float]


def main() -> None:
    """Measure; print rows and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollout", description=__doc__)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--load", type=float, default=0.5, help="share of the throughput")
    parser.add_argument("--share", type=float, default=1, help="of calls that may be copied")
    parser.add_argument("--seconds", type=float, default=10, help="of each turn")
    parser.add_argument("--rounds", type=int, default=8, help="of both in turn")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    given = parser.parse_args()
    with models.assembled(given.model) as repository, tempfile.TemporaryDirectory() as name:
        folder = with_two_versions(repository / given.model / "1", Path(name))
        with subject.running(folder) as server:
            rate, without, shadowed, seen = asyncio.run(_measure(server, given))
    over = ratio(shadowed, without, "p99_ms")
    for title, samples in (("without", without), ("with a shadow", shadowed)):
        figures = {key: statistics.median(one[key] for one in samples) for key in samples[0]}
        print(f"{title:<16}" + "  ".join(f"{key} {value:.2f}" for key, value in figures.items()))
    print(f"p99 with a shadow over without: {over:.3f} (bar {BAR}) at {rate:.0f} calls a second")
    print(f"copies compared {seen['compared']}, dropped {seen['dropped']}")
    if given.write:
        facts = {
            "model": given.model,
            "calls_per_second": rate,
            "share": given.share,
            "p99_with_over_without": over,
            "without": without,
            "with": shadowed,
            "copies": seen,
        }
        print(f"written to {results.write('rollout', facts)}")


async def _measure(
    server: subject.Subject, given: argparse.Namespace
) -> tuple[float, list[Sample], list[Sample], dict[str, int]]:
    """Return the rate, a sample a round without and with a shadow, and the copies."""
    target = Target.post(server.endpoint, photo.jpeg(), "image/jpeg", server.token)
    place = f"/v1/models/{given.model}/rollout"
    options = {"mode": "shadow", "version": 1, "share": given.share}
    without: list[Sample] = []
    shadowed: list[Sample] = []
    seen = {"compared": 0, "dropped": 0}
    headers = {"authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        most = (await closed_loop(target, 4, 4)).per_second
        rate = given.load * most
        for _ in range(given.rounds):
            without.append(_sample(await open_loop(target, rate, given.seconds)))
            (await client.put(place, json=options)).raise_for_status()
            shadowed.append(_sample(await open_loop(target, rate, given.seconds)))
            report = (await client.get(place)).raise_for_status().json()
            seen["compared"] += report["compared"]
            seen["dropped"] += report["dropped"]
            (await client.delete(place)).raise_for_status()
    return rate, without, shadowed, seen


def _sample(load: Load) -> Sample:
    return {
        "per_second": load.per_second,
        "p50_ms": 1000 * load.percentile(50),
        "p99_ms": 1000 * load.percentile(99),
        "failed": load.failed,
    }


if __name__ == "__main__":
    main()
