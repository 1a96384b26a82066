"""Comparison of Potoo, the bare loop and the peers on one model, in turn.

Every other round goes backwards. Each server is started anew in each round, because an idle server
beside the measured one would use cores (some poll) and memory.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import psutil

from benchmarks.http import bare_loop
from benchmarks.http.rounds import loop_title
from benchmarks.peers import environments, servers
from benchmarks.peers.environments import NotInstalled
from benchmarks.peers.servers import Peer, Variant
from benchmarks.support import models, photo, subject
from benchmarks.support.measuring import Samples, ratio, rounded, under_load, warm_up
from benchmarks.support.subject import DoesNotStart, Subject
from service.core.engine.pool import usable_cores

POTOO = "Potoo"
TRIAL_CLIENTS = 32
LARGE_CLIENTS = 8
WARM_SECONDS = 2
"""The second process of a peer may still be loading when the first has answered."""
ANSWER_SECONDS = 60
WORTH_BATCHING = 1.05
"""Least gain for choosing batches, since they delay a lone client."""
Start = Callable[[], AbstractContextManager[Subject]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Durations in seconds, rounds and numbers of clients.

    ``trial_seconds``: of each way to run a peer; 0 for no trials: one worker a core, no batches.
    """

    seconds: float
    rounds: int
    clients: tuple[int, ...]
    trial_seconds: float
    warm_seconds: float = WARM_SECONDS


SMOKE = Plan(seconds=1, rounds=1, clients=(1, 8, 32), trial_seconds=0, warm_seconds=0)
"""Every cell once, too short to compare: whether each can be measured."""


@dataclass(slots=True)
class Compared:
    """Results of one model by title of a server, then by load; ``failed``: reasons by title."""

    bare: dict[str, Samples] = field(default_factory=dict)
    servers: dict[str, dict[str, Samples]] = field(default_factory=dict)
    trials: dict[str, dict[str, float]] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def share_of_bare_loop(self, title: str, load: str) -> float | None:
        """Return the throughput relative to the loop with the same preprocessing and photo."""
        kind = "better" if title == POTOO or title.endswith("better") else "textbook"
        form = photo.LARGE_TITLE if load.endswith(photo.LARGE_TITLE) else ""
        samples = self.servers[title][load]
        return ratio(samples, self.bare[loop_title(kind, form)], "per_second")

    def potoo_over(self, title: str, load: str) -> float | None:
        """Return Potoo's requests a second over another server's; None if Potoo was left out."""
        other = self.servers[title][load]
        potoo = self.servers.get(POTOO)
        return ratio(potoo[load], other, "per_second") if potoo else None

    def faults(self) -> list[str]:
        """Return a line for each server that was left out, and for each load with errors.

        No answer is no fault: a short measurement may end before the first one.
        """
        found = [f"{title}: {why.strip().splitlines()[-1]}" for title, why in self.failed.items()]
        for title, loads in self.servers.items():
            for load, samples in loads.items():
                if errors := sum(sample["errors"] for sample in samples):
                    found.append(f"{title}, {load}: {errors:.0f} errors")
        return found

    def as_json(self) -> dict[str, object]:
        """Convert every sample and the ratios for the results file."""
        return {
            "bare_loop": self.bare,
            "servers": self.servers,
            "trials_per_second": self.trials,
            "chosen": self.chosen,
            "failed": self.failed,
            "share_of_bare_loop": {
                title: {load: rounded(self.share_of_bare_loop(title, load)) for load in loads}
                for title, loads in self.servers.items()
            },
            "potoo_over": {
                title: {load: rounded(self.potoo_over(title, load)) for load in loads}
                for title, loads in self.servers.items()
                if title != POTOO
            },
        }


def compare(
    name: str,
    plan: Plan,
    peers: Sequence[Peer] = servers.PEERS,
    install: Callable[[str], Path] = environments.install,
) -> Compared:
    """Measure all servers on one model.

    Args:
        install: returns the Python of a peer's environment, or raises ``NotInstalled``.
    """
    compared = Compared()
    with models.assembled(name) as folder:
        version = folder / name / "1"
        starts: dict[str, Start] = {POTOO: partial(subject.running, folder)}
        with starts[POTOO]() as potoo:
            expected = best_class(potoo)
        for peer in peers:
            try:
                python = install(peer.package)
            except NotInstalled as error:
                compared.failed[peer.title] = f"does not install: {error}"
            else:
                starts |= _starts(peer, python, version, plan, compared)
        for number in range(plan.rounds):
            progress = f"{name}: round {number + 1} of {plan.rounds}"
            turns = [partial(_bare_loops, version, plan, compared, progress)]
            turns += [
                partial(_measure, title, start, expected, plan, compared, progress)
                for title, start in starts.items()
                if title not in compared.failed
            ]
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn()
    return compared


def _bare_loops(version: Path, plan: Plan, compared: Compared, progress: str) -> None:
    for form in ("", photo.LARGE_TITLE):
        for kind in bare_loop.KINDS:
            title = loop_title(kind, form)
            print(f"{progress}, bare loop, {title}", file=sys.stderr)
            sample = bare_loop.run(version, kind, plan.seconds, form)
            compared.bare.setdefault(title, []).append(sample)


def _measure(
    title: str, start: Start, expected: int, plan: Plan, compared: Compared, progress: str
) -> None:
    """Measure one server under every load; leave it out from then on if it fails.

    So does one that gives another class than Potoo, which would not be comparable.
    """
    print(f"{progress}, {title}", file=sys.stderr)
    small, large = photo.jpeg(), photo.large_jpeg()
    loads = {f"{clients} clients": (small, clients) for clients in plan.clients}
    loads[f"{LARGE_CLIENTS} clients, {photo.LARGE_TITLE}"] = (large, LARGE_CLIENTS)
    try:
        with start() as server:
            if (found := best_class(server)) != expected:
                _leave_out(title, f"answers class {found}, Potoo {expected}", compared)
                return
            best_class(server, large)
            if plan.warm_seconds:
                warm_up(server, small, plan.warm_seconds)
            seen = {
                load: under_load(server, body, clients, plan.seconds)
                for load, (body, clients) in loads.items()
            }
    except DoesNotStart as error:
        _leave_out(title, f"does not start: {error}", compared)
        return
    except httpx.HTTPError as error:
        _leave_out(title, f"does not answer: {error!r}", compared)
        return
    except (subprocess.CalledProcessError, psutil.NoSuchProcess) as error:
        _leave_out(title, f"ended under load: {error}", compared)
        return
    for load, sample in seen.items():
        compared.servers.setdefault(title, {}).setdefault(load, []).append(sample)


def _leave_out(title: str, why: str, compared: Compared) -> None:
    """Leave out a server, also from earlier rounds: rounds must be complete to be compared."""
    compared.failed[title] = why
    compared.servers.pop(title, None)


def _starts(
    peer: Peer, python: Path, version: Path, plan: Plan, compared: Compared
) -> dict[str, Start]:
    """Return the start functions of a peer with each preprocessing; none if it does not run."""
    variant = _best_variant(peer, python, version, plan, compared)
    if variant is None:
        return {}
    compared.chosen[peer.title] = str(variant)
    return {
        f"{peer.title}, {kind}": partial(servers.running, peer, python, version, kind, variant)
        for kind in bare_loop.KINDS
    }


def _best_variant(
    peer: Peer, python: Path, version: Path, plan: Plan, compared: Compared
) -> Variant | None:
    """Choose the variant of a peer with the most requests a second, by a short trial of each."""
    variants = peer.variants(usable_cores())
    if not plan.trial_seconds:
        return max((one for one in variants if one.batch == 1), key=lambda one: one.workers)
    tried: dict[Variant, float] = {}
    failures = []
    for variant in variants:
        print(f"trial of {peer.title}, {variant}", file=sys.stderr)
        try:
            with servers.running(peer, python, version, "textbook", variant) as server:
                warm_up(server, photo.jpeg(), WARM_SECONDS)
                seen = under_load(server, photo.jpeg(), TRIAL_CLIENTS, plan.trial_seconds)
                tried[variant] = seen["per_second"]
        except DoesNotStart as error:
            failures.append(str(error))
    if not tried:
        compared.failed[peer.title] = f"does not start: {failures[-1]}"
        return None
    compared.trials[peer.title] = {str(key): round(rate, 1) for key, rate in tried.items()}
    return best_of(tried)


def best_of(tried: Mapping[Variant, float]) -> Variant:
    """Return the variant with the most requests a second; batches only if they gain enough."""

    def merit(variant: Variant) -> float:
        return tried[variant] / (WORTH_BATCHING if variant.batch > 1 else 1)

    return max(tried, key=merit)


def best_class(server: Subject, body: bytes | None = None) -> int:
    """Return the index of the best class of a photo, the small one by default.

    Raises:
        httpx.HTTPError: the server refuses it, or has not answered within a minute.
    """
    headers = {"content-type": "image/jpeg"}
    if server.token:
        headers["authorization"] = f"Bearer {server.token}"
    answer = httpx.post(
        server.endpoint,
        content=body or photo.jpeg(),
        headers=headers,
        timeout=ANSWER_SECONDS,
        trust_env=False,
    )
    found = answer.raise_for_status().json()
    predictions = found["predictions"] if isinstance(found, dict) else found
    index: int = predictions[0]["index"]
    return index
