"""CPU time of the decoding processes, which are the children of this one."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def children_seconds(proc: Path = Path("/proc")) -> float:
    """Return the CPU time of all children so far, ended ones included; only of those elsewhere."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime
    for children in (proc / "self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            for child in children.read_text().split():
                with suppress(OSError, ValueError, IndexError):  # the process has ended
                    # The second field may hold spaces: count from its end (proc_pid_stat(5)).
                    fields = (proc / child / "stat").read_text().rpartition(")")[2].split()
                    seconds += (int(fields[11]) + int(fields[12])) / _TICKS
    return seconds
