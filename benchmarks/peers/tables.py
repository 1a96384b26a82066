"""Tables of ``make bench-peers``: medians, and reasons for missing figures."""

from __future__ import annotations

from benchmarks.http.tables import COLUMNS, failures, row, times
from benchmarks.peers.comparison import POTOO, Compared

TITLE_WIDTH = 48


def table(name: str, compared: Compared, cores: int) -> str:
    """Format the results of one model. Memory shared by processes counts once."""
    lines = [
        f"\n{name} ({cores} cores); of the bare loop with the same preprocessing",
        f"{'':{TITLE_WIDTH}}{COLUMNS}{'Potoo is':>10}",
    ]
    lines += [
        row(f"bare loop, {title}", samples, None, width=TITLE_WIDTH)
        for title, samples in compared.bare.items()
    ]
    for title, loads in compared.servers.items():
        for load, samples in loads.items():
            share = compared.share_of_bare_loop(title, load)
            line = row(
                f"{title}, {load}", samples, share, memory="proportional_mib", width=TITLE_WIDTH
            )
            ahead = "" if title == POTOO else times(compared.potoo_over(title, load))
            lines.append(f"{line}{ahead:>10}")
    for title, tried in compared.trials.items():
        rates = ", ".join(f"{variant}: {rate:.0f}" for variant, rate in tried.items())
        lines.append(f"{title} was tried as  {rates}")
    return "\n".join(lines + failures(compared.failed))
