"""``make bench-start``: a start of the server on a prepared data folder: time, memory, modules.

Each round starts every shape of this tree and of another revision in direct succession. CPU time
drifts less than the time until ready, and modules not at all.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.event_loop import memory
from benchmarks.support import results, revisions, subject
from tests.support import repository

FAMILIES = (
    *("alembic", "asyncpg", "grpc", "httpx", "limits", "matplotlib", "onnx", "opentelemetry.sdk"),
    *("redis", "rich", "sqlalchemy.dialects.postgresql", "typer"),
)
"""Packages that only some configurations of the server need."""
MEMORY_MODEL = "squeezenet1.0-fp32"
MEMORY_SHAPES: Mapping[str, Mapping[str, str]] = {
    "everything on": {},
    "without the session for lone images": {"POTOO_INFERENCE__THREADS_ALONE": "1"},
}
"""Environment of the servers whose memory is measured."""
SHAPES: Mapping[str, tuple[str, ...]] = {"plain": (), "with gRPC": ("--grpc-port", "0")}
FIGURES = ("ready_seconds", "cpu_seconds", "rss_mib", "pss_mib", "modules")
PATIENCE_SECONDS = 10.0
# Runs `potoo` as `python -m service` does; on SIGUSR1 it writes the names of all modules.
SERVER = """
import signal, sys

file_name = sys.argv.pop(1)

def write_modules(*_):
    names = sorted(sys.modules)
    with open(file_name, "w") as file:
        file.write("\\n".join([*names, ""]))

signal.signal(signal.SIGUSR1, write_modules)
from service.__main__ import main
main()
"""

Sample = dict[str, object]


def main() -> None:
    """Measure, print medians, write the results."""
    parser = argparse.ArgumentParser(prog="make bench-start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--against", metavar="REV", help="that git revision's server beside")
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    parser.add_argument(
        "--memory", action="store_true", help="only the parts of the memory, with SqueezeNet"
    )
    arguments = parser.parse_args()
    if arguments.memory:
        _memory(arguments.rounds, is_written=arguments.write)
        return
    commit = None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trees = {"this tree": subject.ROOT}
        if arguments.against:
            try:
                commit = revisions.commit_of(arguments.against)
            except revisions.NoSuchRevision as error:
                sys.exit(str(error))
            trees[arguments.against] = stack.enter_context(revisions.checked_out(commit))
        samples = _measure(trees, folder, arguments.rounds)
    _print(samples)
    if arguments.write:
        facts: dict[str, object] = {"against": commit, "samples": samples}
        print(f"written to {results.write('start', facts)}")


def _memory(rounds: int, *, is_written: bool) -> None:
    """Measure the memory by step of a start, and of idle servers by origin; print medians."""
    with tempfile.TemporaryDirectory() as name:
        models, data_dir = Path(name) / "models", Path(name) / "data"
        models.mkdir()
        repository.assemble(models, (MEMORY_MODEL,))
        steps = [memory.by_step(models / MEMORY_MODEL / "1") for _ in range(rounds)]
        idle: dict[str, list[dict[str, float]]] = {title: [] for title in MEMORY_SHAPES}
        for number in range(rounds + 1):
            for title, environment in MEMORY_SHAPES.items():
                running = subject.running(models, data_dir=data_dir)
                with _environment(environment), running as server:
                    smaps = Path(f"/proc/{server.process.pid}/smaps").read_text()
                if number:  # the first one creates the tables of the store, with Alembic
                    idle[title].append(memory.by_origin(smaps))
    facts: dict[str, object] = {"model": MEMORY_MODEL, "rounds": rounds}
    facts["by_step"] = _medians(steps)
    facts["idle_by_origin"] = {title: _medians(samples) for title, samples in idle.items()}
    facts["idle"] = {
        title: round(statistics.median(sum(sample.values()) for sample in samples), 1)
        for title, samples in idle.items()
    }
    print(json.dumps(facts, indent=1))
    if is_written:
        print(f"written to {results.write('memory', facts)}")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, which servers inherit."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {
        title: round(statistics.median(sample.get(title, 0) for sample in samples), 1)
        for title in samples[0]
    }


def _measure(trees: Mapping[str, Path], folder: Path, rounds: int) -> dict[str, list[Sample]]:
    """Start every tree in every shape, ``rounds`` times after one start that prepares it."""
    turns = {
        f"{shape}, {title}": (tree, folder / title, options)
        for shape, options in SHAPES.items()
        for title, tree in trees.items()
    }
    samples: dict[str, list[Sample]] = {title: [] for title in turns}
    for number in range(rounds + 1):
        print(f"round {number} of {rounds}", file=sys.stderr)
        order = list(turns) if number % 2 else list(reversed(turns))
        for title in order:
            sample = start(*turns[title])
            if number:  # the first one prepares the data folder and compiles the sources
                samples[title].append(sample)
    return samples


def start(tree: Path, data_dir: Path, options: tuple[str, ...] = ()) -> Sample:
    """Start the server of a tree once; return its figures when it is ready."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "modules"
        serve = ["serve", "--port", "0", "--data-dir", str(data_dir), *options]
        with subject.started([sys.executable, "-c", SERVER, str(file), *serve], tree) as started:
            memory = started.process.memory_full_info()
            times = started.process.cpu_times()
            modules = _modules(started, file)
    return {
        "ready_seconds": round(started.seconds, 3),
        "cpu_seconds": round(times.user + times.system, 3),
        "rss_mib": round(memory.rss / 2**20, 1),
        "pss_mib": round(getattr(memory, "pss", memory.rss) / 2**20, 1),
        "modules": len(modules),
        "families": [name for name in FAMILIES if name in modules],
    }


def _modules(started: subject.Start, file: Path) -> list[str]:
    """Return the names of the modules that a running server has imported."""
    started.process.send_signal(signal.SIGUSR1)
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        text = file.read_text() if file.exists() else ""
        if text.endswith("\n"):
            return text.split()
        time.sleep(0.02)
    raise subject.DoesNotStart("the server did not write its modules")


def _print(samples: Mapping[str, list[Sample]]) -> None:
    width = max(map(len, samples))
    print(f"{'medians':<{width}}" + "".join(f"{figure:>15}" for figure in FIGURES))
    for title, rows in samples.items():
        figures = "".join(
            f"{statistics.median(float(str(row[figure])) for row in rows):>15.2f}"
            for figure in FIGURES
        )
        print(f"{title:<{width}}{figures}")
    for title, rows in samples.items():
        print(f"{title}: {json.dumps(rows[-1]['families'])}")


if __name__ == "__main__":
    main()
