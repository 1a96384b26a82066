"""``make bench``: the server against the bare loop of the same work, interleaved, in one run.

Absolute figures drift on shared machines; ratios taken in one run hold. Writes JSON with machine
and commit, and a table for people.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import load, microcosts, photo, subject
from service.core.pool import usable_cores
from service.settings import BUNDLED_MODELS
from tests import repository

RESULTS = Path(__file__).parent / "results"
FORM_CLIENTS = 8
DEFAULT, SHARED = "everyday", "mobilenetv2-fp32"


@dataclass
class Measured:
    """Samples of one model, a list entry a round; see ``Load`` for units."""

    bare: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    server: dict[int, list[dict[str, float]]] = field(default_factory=dict)
    forms: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    start_seconds: float = 0.0


def main() -> None:
    """Reads the command line, measures, prints, writes."""
    arguments = _arguments()
    models = [DEFAULT] if (BUNDLED_MODELS / DEFAULT).is_dir() else []
    if (repository.SHARED / "models" / SHARED).is_dir():
        models.append(SHARED)
    else:
        print(f"({SHARED} is left out: it is not on this machine)")
    results = {}
    try:
        for name in models:
            results[name] = measure(name, arguments)
            print(table(name, results[name]), flush=True)
    except load.NoLoadGenerator as error:
        sys.exit(str(error))
    costs = microcosts.measure()
    print("\nMicroseconds of CPU: " + ", ".join(f"{k} {v:.1f}" for k, v in costs.items()))
    if arguments.write:
        print(f"written to {write(results, costs)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements in turn")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args()


def measure(name: str, arguments: argparse.Namespace) -> Measured:
    """All measurements of one model."""
    measured, body = Measured(), photo.jpeg()
    with _models(name) as models, subject.running(models) as server:
        measured.start_seconds = server.start_seconds
        url = f"{server.url}/v1/classify"
        load.post(url, body, "image/jpeg", server.token, clients=8, seconds=1)  # warm caches
        for number in range(arguments.rounds):
            for kind in ("textbook", "better"):
                print(f"{name}: round {number + 1}, bare loop, {kind}", file=sys.stderr)
                result = bare_loop(models / name / "1", kind, arguments.seconds)
                measured.bare.setdefault(kind, []).append(result)
            for clients in arguments.clients:
                print(f"{name}: round {number + 1}, {clients} clients", file=sys.stderr)
                seen = under_load(server, body, "image/jpeg", clients, arguments.seconds)
                measured.server.setdefault(clients, []).append(seen)
            for form, (content_type, data) in photo.forms(body).items():
                print(f"{name}: round {number + 1}, {form}", file=sys.stderr)
                seen = under_load(server, data, content_type, FORM_CLIENTS, arguments.seconds)
                measured.forms.setdefault(form, []).append(seen)
    return measured


def under_load(
    server: subject.Subject, body: bytes, content_type: str, clients: int, seconds: float
) -> dict[str, float]:
    """What the server does while so many clients post the same body."""
    before = server.cpu_seconds()
    url = f"{server.url}/v1/classify"
    seen = load.post(url, body, content_type, server.token, clients=clients, seconds=seconds)
    return {
        "per_second": seen.per_second,
        "cpu_ms": 1000 * (server.cpu_seconds() - before) / seen.requests,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
        "errors": seen.errors,
        "memory_mib": server.memory_mib(),
        "generator_cores": seen.own_cpu,
    }


def bare_loop(folder: Path, kind: str, seconds: float) -> dict[str, float]:
    """One run of ``bare_loop`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare_loop", str(folder), kind]
    command += ["--seconds", str(seconds)]
    result: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


@contextmanager
def _models(name: str) -> Iterator[Path]:
    """A repository that holds just this model."""
    with TemporaryDirectory() as folder:
        if name == DEFAULT:
            (Path(folder) / name).symlink_to(BUNDLED_MODELS / name)
        else:
            repository.assemble(Path(folder), (name,))
        yield Path(folder)


def table(name: str, measured: Measured) -> str:
    """Medians for people."""
    reference = median(measured.bare["better"], "per_second")
    lines = [
        f"\n{name} ({usable_cores()} cores, start {measured.start_seconds:.1f} s)",
        f"{'':24}{'per second':>11}{'of bare':>9}{'CPU ms':>8}{'p50 ms':>8}{'p99 ms':>8}{'MiB':>6}",
    ]
    for kind, samples in measured.bare.items():
        rate, cpu = median(samples, "per_second"), median(samples, "cpu_ms")
        lines.append(f"bare loop, {kind:<13}{rate:>11.1f}{rate / reference:>9.1%}{cpu:>8.2f}")
    rows = {f"server, {clients:>2} clients": found for clients, found in measured.server.items()}
    for title, samples in {**rows, **measured.forms}.items():
        keys = ("per_second", "cpu_ms", "p50_ms", "p99_ms", "memory_mib")
        rate, cpu, p50, p99, memory = (median(samples, key) for key in keys)
        lines.append(
            f"{title:<24}{rate:>11.1f}{rate / reference:>9.1%}"
            f"{cpu:>8.2f}{p50:>8.1f}{p99:>8.1f}{memory:>6.0f}"
        )
    return "\n".join(lines)


def median(samples: list[dict[str, float]], key: str) -> float:
    """The middle one of a figure."""
    return statistics.median(sample[key] for sample in samples)


def write(results: dict[str, Measured], costs: dict[str, float]) -> Path:
    """Everything as JSON, with what it was measured on."""
    facts = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed_files": len(_git("status", "--porcelain").splitlines()),
        "machine": {
            "processor": _processor(),
            "cores": usable_cores(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            **{name: version(name) for name in ("onnxruntime", "pillow", "uvicorn", "fastapi")},
        },
        "photo": {"size": photo.SIZE, "bytes": len(photo.jpeg())},
        "microseconds": {name: round(cost, 2) for name, cost in costs.items()},
        "models": {
            name: {
                "start_seconds": round(measured.start_seconds, 2),
                "bare_loop": measured.bare,
                "server": measured.server,
                f"forms_at_{FORM_CLIENTS}_clients": measured.forms,
                "share_of_bare_loop": {
                    clients: round(
                        median(samples, "per_second")
                        / median(measured.bare["better"], "per_second"),
                        4,
                    )
                    for clients, samples in measured.server.items()
                },
            }
            for name, measured in results.items()
        },
    }
    RESULTS.mkdir(exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}-http"
    taken = len(list(RESULTS.glob(f"{day}*.json")))
    path = RESULTS / (f"{day}-{taken + 1}.json" if taken else f"{day}.json")
    path.write_text(json.dumps(facts, indent=1) + "\n")
    return path


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()


if __name__ == "__main__":
    main()
