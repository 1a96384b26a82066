"""CPU time and context switches of a process by thread, from Linux's ``/proc``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """Counters of one process since its start; the event loop is its first thread.

    loop_us, all_us: CPU time of the event loop and of all threads, in microseconds.
    loop_switches, all_switches: voluntary context switches.
    """

    loop_us: float
    all_us: float
    loop_switches: int
    all_switches: int

    def each(self, before: ThreadTimes, requests: int) -> dict[str, float]:
        """Return the counters since ``before`` for each of ``requests``."""
        return {
            name: (getattr(self, name) - getattr(before, name)) / requests
            for name in ("loop_us", "all_us", "loop_switches", "all_switches")
        }


def times_of(pid: int) -> ThreadTimes:
    """Read the counters of a running process."""
    threads = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # the thread has ended
            nanoseconds = int((folder / "schedstat").read_text().split()[0])
            status = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines()
            )
            threads[int(folder.name)] = nanoseconds, int(status["voluntary_ctxt_switches"])
    return ThreadTimes(
        threads[pid][0] / 1000,
        sum(one[0] for one in threads.values()) / 1000,
        threads[pid][1],
        sum(one[1] for one in threads.values()),
    )
