"""Memory of this process: the limit of its control group or machine, and the free part."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
MEMINFO = Path("/proc/meminfo")


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Return the limit of the container or systemd unit in bytes, at most the machine's memory."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        # Version 2 has one line, "0::/system.slice/potoo.service"; in a container it ends in "/".
        own = membership.read_text().partition("0::/")[2].strip()
        return min(machine, int((root / own / "memory.max").read_text()))
    except (OSError, ValueError):  # no control groups, or "max": no limit
        return machine


def memory_available(
    root: Path = ROOT, membership: Path = MEMBERSHIP, meminfo: Path = MEMINFO
) -> int:
    """Return the bytes that are free in the control group and the machine.

    Caches of files count as available. Parent groups limit it too.
    """
    found = [_of_machine(meminfo)]
    try:
        own = root / membership.read_text().partition("0::/")[2].strip()
    except OSError:
        return found[0]
    for group in (own, *own.parents):
        if not group.is_relative_to(root):
            break
        try:
            limit = int((group / "memory.max").read_text())
            used = int((group / "memory.current").read_text())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
        found.append(limit - used + _caches(group / "memory.stat"))
    return max(0, min(found))


def _of_machine(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _caches(stat: Path) -> int:
    """Return the bytes of files that the kernel can drop."""
    try:
        fields = dict(line.split() for line in stat.read_text().splitlines())
        return int(fields["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0
