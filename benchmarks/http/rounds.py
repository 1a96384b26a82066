"""All measurements of one model, interleaved in rounds, so that drift affects them alike."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.http import bare_loop
from benchmarks.support import models, photo, subject
from benchmarks.support.measuring import Samples, ratio, rounded, under_load, warm_up
from benchmarks.support.subject import DoesNotStart, Subject

FORM_CLIENTS = 8
RESNET_CLIENTS = (1, 8, 32)
"""Clients for the slow model, where more clients would show nothing new."""
RATIOS = ("per_second", "cpu_ms", "p99_ms", "proportional_mib")


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of the measurements. ``earlier``: title and work tree of another revision, or None."""

    seconds: float
    rounds: int
    clients: tuple[int, ...]
    workers: tuple[int, ...] = ()
    earlier: tuple[str, Path] | None = None


@dataclass(slots=True)
class RoundFigures:
    """Samples of one model, by measurement; ``others`` and ``failed`` by title."""

    bare: dict[str, Samples] = field(default_factory=dict)
    server: dict[int, Samples] = field(default_factory=dict)
    forms: dict[str, Samples] = field(default_factory=dict)
    others: dict[str, dict[int, Samples]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 0.0

    def share_of_bare_loop(self, samples: Samples, form: str = "") -> float | None:
        """Return requests a second over those of the bare loop with the same photo."""
        return ratio(samples, self.bare[loop_title("better", form)], "per_second")

    def server_over(self, title: str) -> dict[int, dict[str, float | None]]:
        """Return the server's figures over those of another server, by clients."""
        return {
            clients: {key: rounded(ratio(self.server[clients], other, key)) for key in RATIOS}
            for clients, other in self.others[title].items()
        }

    def as_json(self) -> dict[str, object]:
        """Convert every sample and the ratios (medians over the rounds) for the results file."""
        return {
            "start_seconds": round(self.start_seconds, 2),
            "bare_loop": self.bare,
            "server": self.server,
            f"forms_at_{FORM_CLIENTS}_clients": self.forms,
            "share_of_bare_loop": {
                clients: rounded(self.share_of_bare_loop(samples))
                for clients, samples in self.server.items()
            },
            "others": self.others,
            "server_over": {title: self.server_over(title) for title in self.others},
            "failed": self.failed,
        }


def loop_title(kind: str, form: str = "") -> str:
    """Return the title of the bare loop with a kind of preprocessing and a photo."""
    return f"{kind}, {photo.LARGE_TITLE}" if form == photo.LARGE_TITLE else kind


def measure(name: str, plan: Plan) -> RoundFigures:
    """Start the servers of one model and measure them."""
    measured, body = RoundFigures(), photo.jpeg()
    with ExitStack() as stack:
        folder = stack.enter_context(models.assembled(name))
        server = stack.enter_context(subject.running(folder))
        others = _others(stack, folder, plan, measured)
        measured.start_seconds = server.start_seconds
        for each in (server, *others.values()):
            warm_up(each, body)
        for number in range(plan.rounds):
            progress = f"{name}: round {number + 1} of {plan.rounds}"
            _bare_loops(folder / name / "1", plan, measured, progress)
            _clients(name, server, others, plan, measured, number)
            if name != models.RESNET:
                _forms(server, plan, measured, progress)
    return measured


def _others(
    stack: ExitStack, folder: Path, plan: Plan, measured: RoundFigures
) -> Mapping[str, Subject]:
    """Start the servers beside the first, by title; note those that do not start."""
    wanted = {
        f"{workers} workers": subject.running(folder, "--workers", str(workers))
        for workers in plan.workers
    }
    if plan.earlier is not None:
        title, tree = plan.earlier
        wanted[title] = subject.running(folder, tree=tree)
    found = {}
    for title, starting in wanted.items():
        try:
            found[title] = stack.enter_context(starting)
        except DoesNotStart as error:
            measured.failed[title] = str(error)
    return found


def _bare_loops(version: Path, plan: Plan, measured: RoundFigures, progress: str) -> None:
    forms = [""] if version.parent.name == models.RESNET else ["", photo.LARGE_TITLE]
    for form in forms:
        for kind in bare_loop.KINDS:
            title = loop_title(kind, form)
            print(f"{progress}, bare loop, {title}", file=sys.stderr)
            sample = bare_loop.run(version, kind, plan.seconds, form)
            measured.bare.setdefault(title, []).append(sample)


def _clients(
    name: str,
    server: Subject,
    others: Mapping[str, Subject],
    plan: Plan,
    measured: RoundFigures,
    number: int,
) -> None:
    """Measure all servers by number of clients, in direct succession; odd rounds backwards."""
    body = photo.jpeg()
    turns = [(server, measured.server)]
    turns += [(other, measured.others.setdefault(title, {})) for title, other in others.items()]
    if number % 2:
        turns.reverse()
    for clients in plan.clients:
        if name == models.RESNET and clients not in RESNET_CLIENTS:
            continue
        print(f"{name}: round {number + 1}, clients: {clients}", file=sys.stderr)
        for each, seen in turns:
            sample = under_load(each, body, clients, plan.seconds)
            seen.setdefault(clients, []).append(sample)


def _forms(server: Subject, plan: Plan, measured: RoundFigures, progress: str) -> None:
    for form, (content_type, data) in photo.forms(photo.jpeg()).items():
        print(f"{progress}, {form}", file=sys.stderr)
        sample = under_load(server, data, FORM_CLIENTS, plan.seconds, content_type)
        measured.forms.setdefault(form, []).append(sample)
