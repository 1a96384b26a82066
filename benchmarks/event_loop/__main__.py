"""``make bench-event-loop``: CPU time of the event loop a request, beside an earlier revision.

Both servers run at once and are measured in turn: CPU time of threads, not the clock, so that other
work of the machine matters less. Linux only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.event_loop import grpc_load, memory
from benchmarks.event_loop.threads import times_of
from benchmarks.http import bare_loop
from benchmarks.support import load, models, photo, results, revisions, subject
from benchmarks.support.measuring import Samples, ratio
from benchmarks.support.subject import ROOT, Subject
from tests.support import repository
from tests.support.servers.databases import free_port

SQUEEZENET = "squeezenet1.0-fp32"
KINDS = ("photo", photo.LARGE_TITLE, photo.PHONE_TITLE, "gRPC")
BARE = ("photo", photo.PHONE_TITLE)
"""The photos whose CPU time is compared with that of a loop without a server."""
LOOP_ALONE = "loop alone"
"""Title of the measurement in which worker threads answer from memory."""
CACHED = ("-m", "service"), (str(ROOT / "benchmarks" / "event_loop" / "cached_work.py"),)
GRPC_CLIENTS = 16


@dataclass(slots=True)
class Side:
    """One of the two servers, with its samples by kind of request."""

    server: Subject
    grpc_target: str
    idle_mib: float
    samples: dict[str, Samples] = field(default_factory=dict)

    def measure(self, kind: str, clients: int, seconds: float) -> None:
        """Take one sample."""
        before = times_of(self.server.process.pid)
        requests, errors = self._load(kind, clients, seconds)
        if requests:
            sample = times_of(self.server.process.pid).each(before, requests)
            sample |= {"requests": requests, "errors": errors, "mib": self.server.memory_mib()}
            self.samples.setdefault(kind, []).append(sample)
        self.server.settle()

    def _load(self, kind: str, clients: int, seconds: float) -> tuple[int, int]:
        token = self.server.token
        if kind == "gRPC":
            calls = grpc_load.post(self.grpc_target, token, clients=GRPC_CLIENTS, seconds=seconds)
            return calls, 0
        seen = load.post(
            self.server.endpoint,
            photo.named(kind),
            "image/jpeg",
            token,
            clients=clients,
            seconds=seconds,
        )
        return seen.requests, int(seen.errors)


def measure(
    name: str, trees: dict[str, Path], arguments: argparse.Namespace, *, is_alone: bool = False
) -> tuple[dict[str, Side], dict[str, Samples]]:
    """Start a server of each tree with the model, and measure them in turn.

    Args:
        is_alone: whether the work of the worker threads is answered from memory.

    Returns:
        The sides, and the samples of the bare loop by photo (none if ``is_alone``).
    """
    kinds = ("photo", "gRPC") if is_alone else KINDS
    with ExitStack() as stack:
        if name == SQUEEZENET:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            repository.assemble(folder, (name,))
        else:
            folder = stack.enter_context(models.assembled(name))
        sides, bare = {}, dict[str, Samples]()
        for title, tree in trees.items():
            port = free_port()
            running = subject.running(
                folder, "--grpc-port", str(port), tree=tree, program=CACHED[is_alone]
            )
            server = stack.enter_context(running)
            sides[title] = Side(server, f"127.0.0.1:{port}", server.memory_mib())
        for number in range(arguments.rounds + 1):
            print(f"{name}: round {number} of {arguments.rounds}", file=sys.stderr)
            turns = list(sides.values())
            for side in turns if number % 2 else reversed(turns):
                for kind in kinds:
                    side.measure(kind, arguments.clients, arguments.seconds)
            if not number:  # to warm up
                for side in turns:
                    side.samples.clear()
                continue
            for kind in () if is_alone else BARE:
                sample = bare_loop.run(folder / name / "1", "better", arguments.seconds, kind)
                sample["all_us"] = 1000 * sample["cpu_ms"]
                bare.setdefault(kind, []).append(sample)
        return sides, bare


def figures(sides: dict[str, Side], bare: dict[str, Samples]) -> dict[str, object]:
    """Return every sample, the medians, and the ratios by round of the first side to the others.

    ``over_bare``: the CPU time of a request on the first side, to that of the bare loop.
    """
    ours, *others = sides.values()
    found: dict[str, object] = {}
    for title, side in sides.items():
        found[title] = {
            "idle_mib": round(side.idle_mib, 1),
            "medians": {
                kind: {
                    key: round(statistics.median(sample[key] for sample in samples), 2)
                    for key in samples[0]
                }
                for kind, samples in side.samples.items()
            },
            "samples": side.samples,
        }
    found["ratios"] = {
        kind: {key: round(ratio(samples, others[0].samples[kind], key) or 0, 3) for key in KEYS}
        for kind, samples in ours.samples.items()
    }
    found["bare"] = bare
    found["over_bare"] = {
        kind: round(ratio(ours.samples[kind], samples, "all_us") or 0, 3)
        for kind, samples in bare.items()
    }
    return found


KEYS = ("loop_us", "all_us", "all_switches", "mib")


def main() -> None:
    """Measure, print the medians and ratios, and write the file."""
    parser = argparse.ArgumentParser(prog="make bench-event-loop", description=__doc__)
    parser.add_argument("--against", metavar="REV", required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--models", nargs="*", default=[models.DEFAULT, SQUEEZENET])
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    arguments = parser.parse_args()
    commit = revisions.commit_of(arguments.against)
    with revisions.checked_out(commit) as earlier:
        trees = {"now": ROOT, "before": earlier}
        alone = measure(models.DEFAULT, trees, arguments, is_alone=True)
        measured = {LOOP_ALONE: figures(*alone)}
        for name in arguments.models:
            measured[name] = figures(*measure(name, trees, arguments))
    for name, found in measured.items():
        print(name, found["ratios"], "over the bare loop:", found["over_bare"])
    if arguments.write:
        with TemporaryDirectory() as folder:
            repository.assemble(Path(folder), (SQUEEZENET,))
            steps = memory.by_step(Path(folder) / SQUEEZENET / "1")
        facts: dict[str, object] = {"against": commit, "memory_mib_by_step": steps}
        facts["measured"] = measured
        print(results.write("event-loop", facts))


if __name__ == "__main__":
    main()
