"""Memory limit of the process, read from control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from observability.metrics.memory import memory_available, memory_limit

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("membership", "file"),
    [
        ("0::/\n", "memory.max"),
        ("0::/system.slice/potoo.service\n", "system.slice/potoo.service/memory.max"),
    ],
    ids=["container", "systemd unit"],
)
def test_limit_of_the_own_control_group_is_used(tmp_path: Path, membership: str, file: str) -> None:
    (tmp_path / "cgroup").write_text(membership)
    limit = tmp_path / "fs" / file
    limit.parent.mkdir(parents=True)
    limit.write_text("536870912\n")
    assert memory_limit(tmp_path / "fs", tmp_path / "cgroup") == 512 * 2**20


@pytest.mark.parametrize("limit", ["max\n", str(2**63), ""])
def test_unlimited_control_group_means_machine_memory(tmp_path: Path, limit: str) -> None:
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "memory.max").write_text(limit)
    assert memory_limit(tmp_path, tmp_path / "cgroup") == MACHINE


def test_missing_control_groups_mean_machine_memory(tmp_path: Path) -> None:
    assert memory_limit(tmp_path, tmp_path / "cgroup") == MACHINE


def group(folder: Path, limit: str, used: int, caches: int = 0) -> None:
    """Files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {caches}\n")


def available(tmp_path: Path, machine_kib: int = 8_000) -> int:
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "meminfo").write_text(f"MemTotal: 9999 kB\nMemAvailable: {machine_kib} kB\n")
    return memory_available(tmp_path / "fs", tmp_path / "cgroup", tmp_path / "meminfo")


def test_available_memory_is_what_the_control_group_has_left(tmp_path: Path) -> None:
    group(tmp_path / "fs/a/b", "1000000", used=700_000, caches=100_000)
    assert available(tmp_path) == 400_000


def test_available_memory_is_bounded_by_control_groups_and_machine(tmp_path: Path) -> None:
    group(tmp_path / "fs/a/b", "max", used=700_000)
    group(tmp_path / "fs/a", "1000000", used=900_000)
    assert available(tmp_path) == 100_000
    assert available(tmp_path, machine_kib=50) == 50 * 1024
    group(tmp_path / "fs/a", "1000000", used=1_100_000)
    assert available(tmp_path) == 0


def test_available_memory_without_control_groups_is_that_of_the_machine(tmp_path: Path) -> None:
    assert available(tmp_path) == 8_000 * 1024
