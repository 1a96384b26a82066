"""Kill -9 of devices, and of a small server that only stores windows: twenty in a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sensors.device import Plan
from tests.support.sensors.kills import (
    DeviceProcess,
    ModuleProcess,
    Stored,
    check_windows,
    ending,
    kill_again_and_again,
    new_dice,
)
from tests.support.servers.databases import free_port

LENGTH = 10
QUERY = "select name, epoch, first from results"
KILLS = 20


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["server", "device"])
def test_kills_lose_and_double_nothing(tmp_path: Path, victim: str) -> None:
    port, dice = free_port(), new_dice()
    plan = Plan(f"tcp://127.0.0.1:{port}", "pump-3", "", 1, LENGTH, rate=2000)
    device = DeviceProcess.of(plan, tmp_path / "device")
    server = ModuleProcess(
        [
            "tests.support.sensors.tcp.small_server",
            str(port),
            str(tmp_path / "server.db"),
            str(LENGTH),
        ],
        tmp_path / "server.log",
    )
    stored = Stored(tmp_path / "server.db", QUERY)
    with ending(device, server):
        server.start()
        device.start()
        killed = server if victim == "server" else device
        kill_again_and_again(killed, KILLS, [stored], dice)
        total = device.finish()

    check_windows(stored.windows(), {"pump-3": total}, LENGTH)
    assert (tmp_path / "server.log").read_text() == ""
