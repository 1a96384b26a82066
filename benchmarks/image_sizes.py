"""``make bench-image-sizes``: the cost of a photo by its size, and where answers change.

Photos of scikit-image are enlarged to 12 megapixels, as from a phone, and then made smaller, as an
app may before it uploads them. A server with the default model classifies each size in turn, one
request at a time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import httpx

from benchmarks.support import photo, results, subject

SIDES = (4000, 2000, 1000, 640, 448, 320, 224, 128)
"""Pixels of the longer side; the first is the original."""
PHOTOS = (
    *("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png"),
    *("camera.png", "clock_motion.png", "motorcycle_left.png", "page.png"),
)
UPLINK_MBIT = 5.0
"""Megabits per second of a phone's uplink, for the time of an upload."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one size.

    Attributes:
        side: pixels of the longer side.
        kib: median size of the photos' JPEGs.
        cpu_ms: median CPU time of the server for one request.
        answer_ms: median time from request to answer, on this machine.
        upload_ms: for ``kib`` over an uplink of ``UPLINK_MBIT``.
        same: photos with the same summary as at the largest size.
        score_change: mean absolute change of the best score.
    """

    side: int
    kib: float
    cpu_ms: float
    answer_ms: float
    upload_ms: float
    same: int
    score_change: float


@dataclass(frozen=True, slots=True)
class _Answer:
    label: str | None
    score: float


def main() -> None:
    """Measure every size; print a table and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-image-sizes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="requests of each photo and size")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    arguments = parser.parse_args()
    with subject.running(None) as server:
        rows = measure(server, encoded(SIDES, PHOTOS), arguments.rounds)
    print(table(rows))
    if not arguments.no_write:
        facts: dict[str, object] = {
            "photos": PHOTOS,
            "uplink_mbit": UPLINK_MBIT,
            "rows": [asdict(row) for row in rows],
        }
        print(f"written to {results.write('image-sizes', facts)}")


def encoded(sides: Sequence[int], pictures: Sequence[str]) -> dict[int, list[bytes]]:
    """Return the JPEGs of all pictures by the pixels of their longer side, 4 : 3."""
    return {
        side: [
            photo.jpeg((side, side * 3 // 4), about=None, picture=picture) for picture in pictures
        ]
        for side in sides
    }


def measure(
    server: subject.Subject, files: Mapping[int, Sequence[bytes]], rounds: int
) -> list[Row]:
    """Classify all files ``rounds`` times, the sizes in turn; return a row for each size."""
    cpu: dict[int, list[float]] = {side: [] for side in files}
    waits: dict[int, list[float]] = {side: [] for side in files}
    answers: dict[int, list[_Answer]] = {}
    headers = {"authorization": f"Bearer {server.token}", "content-type": "image/jpeg"}
    with httpx.Client(headers=headers, timeout=60) as client:
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}", file=sys.stderr)
            for side, bodies in files.items():
                before = server.cpu_seconds()
                posted = [client.post(server.endpoint, content=body) for body in bodies]
                used = 1000 * (server.cpu_seconds() - before) / len(bodies)
                answers[side] = [_answer(response) for response in posted]
                if number:  # the first round warms up
                    cpu[side].append(used)
                    waits[side] += [1000 * one.elapsed.total_seconds() for one in posted]
    largest = answers[max(files)]
    return [
        Row(
            side=side,
            kib=round(statistics.median(len(body) for body in files[side]) / 1024, 1),
            cpu_ms=round(statistics.median(cpu[side]), 2),
            answer_ms=round(statistics.median(waits[side]), 2),
            upload_ms=round(
                statistics.median(len(body) for body in files[side]) * 8 / UPLINK_MBIT / 1000, 1
            ),
            same=sum(
                one.label == other.label for one, other in zip(answers[side], largest, strict=True)
            ),
            score_change=round(
                statistics.mean(
                    abs(one.score - other.score)
                    for one, other in zip(answers[side], largest, strict=True)
                ),
                4,
            ),
        )
        for side in files
    ]


def _answer(response: httpx.Response) -> _Answer:
    body = response.raise_for_status().json()
    summary = body["summary"]
    return _Answer(summary["label"] if summary else None, body["predictions"][0]["score"])


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text, a line each."""
    head = f"{'side':>6}{'KiB':>9}{'upload ms':>11}{'CPU ms':>8}{'answer ms':>11}{'same':>6}"
    lines = [
        f"{row.side:>6}{row.kib:>9}{row.upload_ms:>11}{row.cpu_ms:>8}{row.answer_ms:>11}"
        f"{row.same:>6}{row.score_change:>9}"
        for row in rows
    ]
    return "\n".join([f"{head}{'change':>9}", *lines])


if __name__ == "__main__":
    main()
