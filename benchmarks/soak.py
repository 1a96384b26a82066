"""``make bench-soak``: measures memory growth over a day's worth of requests within minutes.

Good photos of several sizes and formats, phones' photos, broken files, unknown models, deadlines
that cannot be met and clients that leave, all concurrently. Resident memory is read twice a second;
the second quarter, when all is warm, is compared with the last.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from PIL import Image

from benchmarks.support import models, photo, results, subject
from service.calibrate.load import Target, closed_loop

mpl.use("Agg")
ROUND = 3.0
"""Seconds after which every client reconnects."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of caller: its request, and the number of concurrent clients."""

    name: str
    target: Target
    clients: int


def main() -> None:
    """Run the load for the options given; print and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-soak", description=__doc__)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    with models.assembled(arguments.model) as folder, subject.running(folder) as server:
        samples, statuses = asyncio.run(soak(server, arguments.minutes * 60))
    quarters = [_quarter(samples, number) for number in range(4)]
    growth = quarters[3] / quarters[1] - 1
    total = sum(sum(counted.values()) for counted in statuses.values())
    for name, counted in statuses.items():
        print(f"{name:<24}{dict(sorted(counted.items()))}")
    print(
        f"{total} requests in {arguments.minutes:g} minutes; MiB by quarter: "
        f"{', '.join(f'{mib:.0f}' for mib in quarters)}; growth {growth:+.1%}"
    )
    if arguments.write:
        path = results.write(
            "soak",
            {
                "model": arguments.model,
                "minutes": arguments.minutes,
                "requests": total,
                "statuses": {name: dict(counted) for name, counted in statuses.items()},
                "mib_by_quarter": [round(mib, 1) for mib in quarters],
                "growth": round(growth, 4),
                "samples": [[round(at, 1), round(mib, 1)] for at, mib in samples],
            },
        )
        plot(samples, total, path.with_suffix(".png"))
        print(f"written to {path}")


async def soak(
    server: subject.Subject, seconds: float
) -> tuple[list[tuple[float, float]], dict[str, Counter[int]]]:
    """Run the load; return (seconds, MiB) over time, and counts of statuses by kind of caller."""
    samples: list[tuple[float, float]] = []
    statuses: dict[str, Counter[int]] = {}
    began = time.monotonic()

    async def call(kind: Kind) -> None:
        counted = statuses.setdefault(kind.name, Counter())
        while time.monotonic() - began < seconds:
            counted.update((await closed_loop(kind.target, kind.clients, ROUND)).statuses)

    async def leave(target: Target) -> None:
        counted = statuses.setdefault("leaves in the middle", Counter())
        while time.monotonic() - began < seconds:
            _, writer = await asyncio.open_connection(target.host, target.port)
            writer.write(target.request[: len(target.request) // 2])
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
            counted[0] += 1

    async def watch() -> None:
        while time.monotonic() - began < seconds:
            samples.append((time.monotonic() - began, server.memory_mib()))
            await asyncio.sleep(0.5)

    callers = kinds(server)
    await asyncio.gather(watch(), leave(callers[0].target), *map(call, callers))
    return samples, statuses


def kinds(server: subject.Subject) -> list[Kind]:
    """List all kinds of callers."""

    def post(body: bytes, query: str = "", *, is_known: bool = True) -> Target:
        url = f"{server.url}/v1/classify{query}"
        token = server.token if is_known else server.token[::-1]
        return Target.post(url, body, "application/octet-stream", token)

    usual, phone = photo.jpeg(), photo.large_jpeg()
    return [
        Kind("photo", post(usual), 8),
        Kind("photo, top 100", post(usual, "?top_k=100&priority=bulk"), 2),
        Kind("phone's photo", post(phone), 1),
        Kind("PNG", post(_as(usual, "PNG")), 1),
        Kind("WebP", post(_as(usual, "WEBP")), 1),
        Kind("cut short", post(usual[:20_000]), 1),
        Kind("no image", post(b"nothing of the kind" * 1000), 1),
        Kind("unknown model", post(usual, "?model=no-such"), 1),
        Kind("impatient", post(usual, "?timeout_ms=1"), 1),
        Kind("bad token", post(usual, is_known=False), 1),
    ]


def _as(data: bytes, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, kind)
    return buffer.getvalue()


def _quarter(samples: list[tuple[float, float]], number: int) -> float:
    length = len(samples) // 4
    return statistics.median(mib for _, mib in samples[number * length : (number + 1) * length])


def plot(samples: list[tuple[float, float]], total: int, path: Path) -> None:
    """Plot memory over time."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.plot([at / 60 for at, _ in samples], [mib for _, mib in samples], color="#0072B2")
    axes.set_ylim(0)
    axes.set_xlabel("minutes")
    axes.set_ylabel("resident MiB")
    axes.set_title(f"{total:,} requests of every kind", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
