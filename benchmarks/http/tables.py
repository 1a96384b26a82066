"""Tables of ``make bench``: medians, a table a model."""

from __future__ import annotations

from benchmarks.http.rounds import FORM_CLIENTS, RATIOS, RoundFigures
from benchmarks.support import photo
from benchmarks.support.measuring import Samples, median

TITLE_WIDTH = 36
COLUMNS = (
    f"{'per second':>11}{'of bare':>9}{'CPU ms':>8}{'p50 ms':>8}{'p99 ms':>8}{'MiB':>6}{'wrk':>6}"
)


def table(name: str, measured: RoundFigures, cores: int) -> str:
    """Format the medians, those of the servers beside, and the ratios to them."""
    lines = [
        f"\n{name} ({cores} cores, start {measured.start_seconds:.1f} s)",
        " " * TITLE_WIDTH + COLUMNS,
    ]
    for title, samples in measured.bare.items():
        form = photo.LARGE_TITLE if title.endswith(photo.LARGE_TITLE) else ""
        share = measured.share_of_bare_loop(samples, form)
        lines.append(row(f"bare loop, {title}", samples, share))
    for clients, samples in measured.server.items():
        share = measured.share_of_bare_loop(samples)
        lines.append(row(f"server, {clients:>2} clients", samples, share))
    for form, samples in measured.forms.items():
        share = measured.share_of_bare_loop(samples, form)
        lines.append(row(f"{form}, {FORM_CLIENTS} clients", samples, share))
    for title, by_clients in measured.others.items():
        for clients, samples in by_clients.items():
            share = measured.share_of_bare_loop(samples)
            lines.append(row(f"{title}, {clients:>2} clients", samples, share))
    for title in measured.others:
        lines += _ratios(title, measured)
    return "\n".join(lines + failures(measured.failed))


def row(
    title: str, samples: Samples, share: float | None, *, memory: str = "memory_mib", width: int = 0
) -> str:
    """Format the medians of one row; only rate and CPU time for a bare loop."""
    of_bare = "" if share is None else f"{share:.1%}"
    rate, cpu = median(samples, "per_second"), median(samples, "cpu_ms")
    if not rate:
        return f"{title:<{width or TITLE_WIDTH}} no answer in time"
    line = f"{title:<{width or TITLE_WIDTH}}{rate:>11.1f}{of_bare:>9}{cpu:>8.2f}"
    if "p50_ms" not in samples[0]:
        return line
    p50, p99, mebibytes, generator = (
        median(samples, key) for key in ("p50_ms", "p99_ms", memory, "generator_cores")
    )
    line += f"{p50:>8.1f}{p99:>8.1f}{mebibytes:>6.0f}{generator:>6.1%}"
    errors = sum(sample["errors"] for sample in samples)
    return f"{line}  {errors:.0f} ERRORS" if errors else line


def times(ratio: float | None) -> str:
    """Format a ratio, such as ``1.25x``."""
    return "-" if ratio is None else f"{ratio:.2f}x"


def failures(failed: dict[str, str]) -> list[str]:
    """List failed measurements with the end of their reasons."""
    return [
        f"{title}: {' ... '.join(why.strip().splitlines()[-2:])}" for title, why in failed.items()
    ]


def _ratios(title: str, measured: RoundFigures) -> list[str]:
    """Format the server's figures over another's, in the columns of those figures."""
    lines = []
    for clients, over in measured.server_over(title).items():
        rate, cpu, p99, memory = (times(over[key]) for key in RATIOS)
        heading = f"server / {title}, {clients:>2} clients"
        lines.append(f"{heading:<{TITLE_WIDTH}}{rate:>11}{'':9}{cpu:>8}{'':8}{p99:>8}{memory:>6}")
    return lines
