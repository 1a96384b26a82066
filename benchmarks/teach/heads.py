"""``python -m benchmarks.teach.heads``: five heads on one base, beside one, over HTTP.

Each round posts the same photo in turns: to one version; to it and four more by ``also``; and to
it and four more in a repository whose versions share nothing, for comparison.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.support import load, results, subject
from schemas.models import HEAD_FILE
from tests.support.models.taught import BASE, write_taught

NAMES = ("door", "lamp", "tap", "gate", "bin")
GOAL = 1.1


@dataclass(frozen=True, slots=True)
class Round:
    """Server CPU in milliseconds, and answered requests a second."""

    one_ms: float
    five_ms: float
    unshared_ms: float
    one_rate: float
    five_rate: float
    unshared_rate: float
    errors: int


def main() -> None:
    """Measure; print the medians and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--base", type=Path, default=BASE, help="folder of the base's version")
    parser.add_argument("--no-write", action="store_true", help="do not keep the figures")
    given = parser.parse_args()
    photo = min((BASE / "golden").glob("*.png"))
    with ExitStack() as stack:
        shared = stack.enter_context(_serving(stack, given.base, shares=True))
        unshared = stack.enter_context(_serving(stack, given.base, shares=False))
        rounds = [
            _round(shared, unshared, photo.read_bytes(), given.clients, given.seconds)
            for _ in range(given.rounds)
        ]
        memory = {"shared": shared.memory_mib(), "unshared": unshared.memory_mib()}
    cost = statistics.median(one.five_ms / one.one_ms for one in rounds)
    alone = statistics.median(one.unshared_ms / one.one_ms for one in rounds)
    print(f"five heads / one, CPU of a request: {cost:.2f} (goal {GOAL}); unshared: {alone:.2f}")
    print(f"requests a second: {statistics.median(one.five_rate / one.one_rate for one in rounds)}")
    print(f"memory: {memory}")
    if not given.no_write:
        facts = {
            "base": given.base.parent.name,
            "heads": len(NAMES),
            "clients": given.clients,
            "rounds": [asdict(one) for one in rounds],
            "cost_of_five": round(cost, 3),
            "cost_of_five_unshared": round(alone, 3),
            "memory_mib": memory,
        }
        print(f"written to {results.write('heads', facts)}")


def _serving(
    stack: ExitStack, base: Path, *, shares: bool
) -> AbstractContextManager[subject.Subject]:
    repository = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "models"
    for seed, name in enumerate(NAMES):
        folder = write_taught(repository, name, seed, base)
        if not shares:
            (folder / HEAD_FILE).unlink()
    return subject.running(repository)


def _round(
    shared: subject.Subject, unshared: subject.Subject, photo: bytes, clients: int, seconds: float
) -> Round:
    one = f"?model={NAMES[0]}"
    five = f"{one}&also={','.join(NAMES[1:])}"
    figures, errors = [], 0
    for server, query in ((shared, one), (shared, five), (unshared, five)):
        asked = replace(server, path=f"/v1/classify{query}")
        before = asked.cpu_seconds()
        seen = load.post(
            asked.endpoint, photo, "image/png", asked.token, clients=clients, seconds=seconds
        )
        cpu_ms = 1000 * (asked.cpu_seconds() - before) / max(seen.requests, 1)
        figures.append((cpu_ms, seen.per_second))
        errors += seen.errors
        asked.settle()
    (one_ms, one_rate), (five_ms, five_rate), (unshared_ms, unshared_rate) = figures
    return Round(one_ms, five_ms, unshared_ms, one_rate, five_rate, unshared_rate, errors)


if __name__ == "__main__":
    main()
