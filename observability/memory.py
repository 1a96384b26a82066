"""Memory limit of this process: its control group's, else the machine's memory."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Return the limit of the container or systemd unit in bytes, at most the machine's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        # Version 2 has one line, "0::/system.slice/potoo.service"; in a container it ends in "/".
        own = membership.read_text().partition("0::/")[2].strip()
        return min(machine, int((root / own / "memory.max").read_text()))
    except (OSError, ValueError):  # no control groups, or "max": no limit
        return machine
