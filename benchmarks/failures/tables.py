"""Formats the counts for people, for files and for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.failures.load import Tally


@dataclass(frozen=True)
class FailureFigures:
    """Outcome of one scenario. ``retries``: requests that the balancer retried."""

    name: str
    tallies: dict[str, Tally]
    retries: int

    def as_json(self) -> dict[str, object]:
        """Convert the outcome for the results file."""
        return {
            "scenario": self.name,
            "sent_again_by_the_balancer": self.retries,
            **{
                protocol: {
                    "requests": tally.requests,
                    "failed": tally.failed,
                    "failures": dict(tally.failures),
                    "slowest_seconds": round(tally.slowest, 3),
                }
                for protocol, tally in self.tallies.items()
            },
        }


def read(facts: dict[str, Any]) -> list[FailureFigures]:
    """Parse the outcomes in a results file."""
    return [
        FailureFigures(
            found["scenario"],
            {
                protocol: Tally(of["requests"], of["slowest_seconds"], Counter(of["failures"]))
                for protocol, of in found.items()
                if isinstance(of, dict)
            },
            found["sent_again_by_the_balancer"],
        )
        for found in facts["scenarios"]
    ]


def line(measured: FailureFigures) -> str:
    """Format one scenario as a line for a terminal."""
    parts = [
        f"{protocol} {tally.failed} of {tally.requests} failed, slowest {tally.slowest:.2f} s"
        + (f" {dict(tally.failures)}" if tally.failed else "")
        for protocol, tally in measured.tallies.items()
    ]
    return f"{measured.name}: {'; '.join(parts)}; sent again {measured.retries}"


def markdown(measured: Sequence[FailureFigures]) -> str:
    """Format a table of failed requests and the slowest answer, by protocol."""
    if not measured:
        return "nothing was measured"
    protocols = list(measured[0].tallies)
    head = ["", *(f"{name}: failed, slowest" for name in protocols), "sent again"]
    rows = [head, ["---"] * len(head)]
    rows += [
        [one.name, *(_cell(one.tallies[name]) for name in protocols), str(one.retries)]
        for one in measured
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(tally: Tally) -> str:
    kinds = ", ".join(f"{count} x {kind}" for kind, count in tally.failures.most_common())
    failed = f"**{tally.failed}** of {tally.requests}" if tally.failed else f"0 of {tally.requests}"
    return f"{failed}, {tally.slowest:.2f} s{f' ({kinds})' if kinds else ''}"
