"""``make bench-overload``: measures goodput under loads far above the server's capacity.

Open loop: requests come at a given rate, independent of earlier ones, as real traffic does.
Goodput counts answers of 200 within the deadline that the request carried.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl

from benchmarks.support import models, photo, results, subject
from service.calibrate.load import Load, Target, closed_loop, open_loop, percentile

mpl.use("Agg")
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0)
KNEE_CLIENTS = 16
HEADER = (
    f"{'of knee':>8}{'offered':>9}{'goodput':>9}{'of knee':>9}{'late':>6}{'refused':>9}"
    f"{'p50 ms':>8}{'p99 ms':>8}{'refusal p50':>13}{'p99 ms':>8}"
)


@dataclass(frozen=True, slots=True)
class Point:
    """Figures of one offered load. Rates a second, times in milliseconds."""

    of_knee: float
    offered: float
    goodput: float
    late: int
    refused: int
    unanswered: int
    p50_ms: float
    p99_ms: float
    refusal_p50_ms: float
    refusal_p99_ms: float
    generator_cores: float


def main() -> None:
    """Measure the loads for the options given; print and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-overload", description=__doc__)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--deadline-ms", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--rounds", type=int, default=3, help="of all loads in turn")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    knee, points = measure(arguments)
    print(table(knee, points))
    if arguments.write:
        path = results.write(
            "overload",
            {
                "model": arguments.model,
                "deadline_ms": arguments.deadline_ms,
                "knee_per_second": round(knee, 1),
                "points": [asdict(point) for point in points],
            },
        )
        plot(knee, points, arguments, path.with_suffix(".png"))
        print(f"written to {path}")


def measure(arguments: argparse.Namespace) -> tuple[float, list[Point]]:
    """Return the knee's rate, and medians over the rounds for every offered load."""
    rounds: dict[float, list[Point]] = {share: [] for share in SHARES}
    with models.assembled(arguments.model) as folder, subject.running(folder) as server:
        url = f"{server.url}/v1/classify?timeout_ms={arguments.deadline_ms}"
        target = Target.post(url, photo.jpeg(), "image/jpeg", server.token)
        asyncio.run(closed_loop(target, KNEE_CLIENTS, 2))  # warm caches
        knees = []
        for number in range(arguments.rounds):
            knees.append(asyncio.run(closed_loop(target, KNEE_CLIENTS, 4)).per_second)
            knee = statistics.median(knees)
            for share in SHARES:
                load = asyncio.run(open_loop(target, share * knee, arguments.seconds))
                rounds[share].append(_point(share, load, arguments.deadline_ms / 1000))
                print(f"round {number + 1}: {rounds[share][-1]}", flush=True)
    return knee, [_median(points) for points in rounds.values()]


def _point(share: float, load: Load, deadline: float) -> Point:
    good = sum(latency <= deadline for latency in load.latencies)
    return Point(
        of_knee=share,
        offered=load.offered / load.seconds,
        goodput=good / load.seconds,
        late=len(load.latencies) - good,
        refused=sum(n for status, n in load.statuses.items() if status in {429, 503, 504}),
        unanswered=load.offered - sum(load.statuses.values()) + load.statuses[0],
        p50_ms=1000 * load.percentile(50),
        p99_ms=1000 * load.percentile(99),
        refusal_p50_ms=1000 * percentile(load.refusal_latencies, 50),
        refusal_p99_ms=1000 * percentile(load.refusal_latencies, 99),
        generator_cores=load.own_cores,
    )


def _median(points: list[Point]) -> Point:
    names = Point.__dataclass_fields__
    return Point(**{n: statistics.median(getattr(point, n) for point in points) for n in names})


def table(knee: float, points: list[Point]) -> str:
    """Format the results as a table."""
    lines = [f"\nknee: {knee:.0f} images/s", HEADER]
    lines += [
        f"{p.of_knee:>7.2f}x{p.offered:>9.0f}{p.goodput:>9.0f}{p.goodput / knee:>9.0%}"
        f"{p.late:>6.0f}{p.refused:>9.0f}{p.p50_ms:>8.0f}{p.p99_ms:>8.0f}"
        f"{p.refusal_p50_ms:>13.1f}{p.refusal_p99_ms:>8.1f}"
        for p in points
    ]
    return "\n".join(lines)


def plot(knee: float, points: list[Point], arguments: argparse.Namespace, path: Path) -> None:
    """Plot offered load against goodput, and against p99 of the accepted requests."""
    from matplotlib import pyplot as plt

    offered = [point.offered for point in points]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
    above.plot(offered, offered, color="0.75", linestyle="--")
    above.plot(offered, [point.goodput for point in points], color="#0072B2", marker="o")
    above.axvline(knee, color="0.6", linewidth=1)
    above.annotate("knee", (knee, 0), xytext=(4, 6), textcoords="offset points", color="0.4")
    above.set_ylim(0, 1.5 * knee)
    above.set_ylabel("answered in time, per second")
    above.set_title(f"{arguments.model}: goodput when more is asked than can be done", loc="left")
    below.plot(offered, [point.p99_ms for point in points], color="#D55E00", marker="o")
    below.axhline(arguments.deadline_ms, color="0.6", linewidth=1)
    below.annotate(
        "deadline",
        (offered[-1], arguments.deadline_ms),
        xytext=(-44, 4),
        textcoords="offset points",
        color="0.4",
    )
    below.set_ylim(0)
    below.set_ylabel("p99 of the accepted, ms")
    below.set_xlabel("offered, per second")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
