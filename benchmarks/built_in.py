"""``python -m benchmarks.built_in``: measures each built-in model: start, memory, one photo.

Each model is served alone, in turn, several rounds in one run. A new data folder, as on a fresh
machine, is started twice: the first start builds the default model, the second does not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.support import load, photo, results, subject
from service.modeltools.sources.built_in import put

MODELS = ("imagenet", "imagenet-int8", "everyday")
SECONDS = 3.0
CLIENTS = (1, 32)

Samples = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure the built-in models; print a table and write the results."""
    parser = argparse.ArgumentParser(prog="make bench-built-in", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        samples = _measure(Path(name), arguments.rounds)
    _print(samples)
    if not arguments.no_write:
        print(f"written to {results.write('built-in', {'samples': samples})}")


def _measure(folder: Path, rounds: int) -> Samples:
    samples: Samples = {name: [] for name in (*MODELS, "first start", "second start")}
    for name in MODELS:
        put(name, folder / name, lambda _: None, lambda line: print(line, file=sys.stderr))
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name in MODELS:
            with subject.running(folder / name) as server:
                samples[name].append(_of(server))
        # The repository of the data folder, which the first start seeds.
        with tempfile.TemporaryDirectory(dir=folder) as data:
            for kind in ("first start", "second start"):
                with subject.running(None, data_dir=Path(data) / "data") as server:
                    memory = server.memory_mib()
                    figures = {"start_seconds": server.start_seconds, "memory_mib": memory}
                    samples[kind].append(figures)
    return samples


def _of(server: subject.Subject) -> dict[str, float]:
    figures = {"start_seconds": server.start_seconds, "memory_mib": server.memory_mib()}
    body = photo.jpeg()
    for clients in CLIENTS:
        seen = load.post(
            server.endpoint, body, "image/jpeg", server.token, clients=clients, seconds=SECONDS
        )
        server.settle()
        figures[f"p50_ms_{clients}"] = seen.p50_ms
        figures[f"per_second_{clients}"] = seen.per_second
        figures[f"errors_{clients}"] = seen.errors
    figures["memory_after_load_mib"] = server.memory_mib()
    return figures


def _print(samples: Samples) -> None:
    keys = list(samples[MODELS[0]][0])
    print(f"{'':<24}" + "".join(f"{name:>16}" for name in samples))
    for key in keys:
        print(f"{key:<24}" + "".join(f"{_median(rows, key):>16}" for rows in samples.values()))


def _median(rows: Sequence[dict[str, float]], key: str) -> str:
    if key not in rows[0]:
        return "-"
    return f"{statistics.median(row[key] for row in rows):.2f}"


if __name__ == "__main__":
    main()
