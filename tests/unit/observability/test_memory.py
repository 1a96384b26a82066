"""Memory limit of the process, read from control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from observability.memory import memory_limit

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
