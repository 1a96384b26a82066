"""``make bench-swap``: measures latency while models are swapped under load.

Versions of one model are promoted back and forth while clients send requests; every promotion loads
and checks a version, switches, and frees the old one's memory. The slowest answers of that time are
compared with those of quiet times just before and after, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.support import models, photo, results, subject
from benchmarks.support.measuring import ratio
from schemas.models import MANIFEST_FILE
from service.calibrate.load import Load, Target, closed_loop

BAR = 1.5
Samples = list[dict[str, float]]


def main() -> None:
    """Measure swaps for the options given; print and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-swap", description=__doc__)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of quiet and swapping in turn")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    with models.assembled(arguments.model) as given, tempfile.TemporaryDirectory() as name:
        folder = with_two_versions(given / arguments.model / "1", Path(name))
        with subject.running(folder) as server:
            quiet, swapping = asyncio.run(measure(server, arguments))
    over = ratio(swapping, quiet, "p99_ms")
    for title, samples in (("quiet", quiet), ("while swapping", swapping)):
        figures = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
        print(f"{title:<16}" + "  ".join(f"{key} {value:.1f}" for key, value in figures.items()))
    print(f"p99 while swapping over quiet: {over:.2f} (bar {BAR}), median of {len(quiet)} rounds")
    if arguments.write:
        facts = {
            "model": arguments.model,
            "clients": arguments.clients,
            "p99_over_quiet": over,
            "quiet": quiet,
            "swapping": swapping,
        }
        print(f"written to {results.write('swap', facts)}")


def with_two_versions(version: Path, folder: Path) -> Path:
    """Build a repository with the given version as 1 and 2."""
    for number in (1, 2):
        copy = folder / version.parent.name / str(number)
        shutil.copytree(version, copy)
        manifest = json.loads((copy / MANIFEST_FILE).read_text())
        (copy / MANIFEST_FILE).write_text(json.dumps(manifest | {"version": number}))
    return folder


async def measure(
    server: subject.Subject, arguments: argparse.Namespace
) -> tuple[Samples, Samples]:
    """Return a sample a round of quiet time, and of swapping."""
    target = Target.post(server.endpoint, photo.jpeg(), "image/jpeg", server.token)
    quiet: Samples = []
    swapping: Samples = []
    await closed_loop(target, arguments.clients, 2)  # warm caches
    for _ in range(arguments.rounds):
        load = await closed_loop(target, arguments.clients, arguments.seconds)
        quiet.append(_sample(load, 0))
        until = time.monotonic() + arguments.seconds
        load, swaps = await asyncio.gather(
            closed_loop(target, arguments.clients, arguments.seconds),
            swap(server, arguments.model, until),
        )
        swapping.append(_sample(load, swaps))
    return quiet, swapping


async def swap(server: subject.Subject, model: str, until: float) -> int:
    """Promote the versions alternately; return the number of promotions."""
    headers = {"authorization": f"Bearer {server.token}"}
    count = 0
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        while time.monotonic() < until:
            path = f"/v1/models/{model}/versions/{1 + count % 2}/promote"
            (await client.post(path)).raise_for_status()
            count += 1
            await asyncio.sleep(0.5)
    return count


def _sample(load: Load, swaps: int) -> dict[str, float]:
    return {
        "per_second": load.per_second,
        "p50_ms": 1000 * load.percentile(50),
        "p99_ms": 1000 * load.percentile(99),
        "failed": load.failed,
        "swaps": swaps,
    }


if __name__ == "__main__":
    main()
