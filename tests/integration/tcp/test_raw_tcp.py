"""Devices that send plain float32 numbers to real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.support.sensors.tcp.bench import LOOPBACK, TcpBenches
from tests.support.sensors.tcp.intake import WINDOW, FakeIntake, values_of
from tests.support.waiting import eventually, turns

pytestmark = pytest.mark.anyio


def raw(sensor: str, allow: str = LOOPBACK) -> dict[str, Any]:
    return {"tcp_port": None, "raw": [{"port": 0, "sensor": sensor, "allow": [allow]}]}


async def test_floats_become_samples_at_any_split(benches: TcpBenches) -> None:
    values = values_of(40, 3)
    data = values.tobytes()
    async with benches.serve(**raw("wide")) as bench, bench.device() as device:
        for at in range(0, len(data), 7):
            device.send(data[at : at + 7])
            await device.writer.drain()
            await asyncio.sleep(0)
        await eventually(
            lambda: bool(bench.intake.opened) and bench.intake.opened[0].received == 40
        )
        (channel,) = bench.intake.opened
        assert np.array_equal(channel.samples, values)
        assert (channel.door, channel.principal) == ("raw_tcp", None)
        device.writer.close()
        await eventually(lambda: channel.is_closed)


async def test_floats_may_come_before_the_channel_is_open(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.delay = asyncio.Event()
    async with benches.serve(intake, **raw("pump")) as bench, bench.device() as device:
        await intake.asked.wait()
        for first in range(0, 50_000, 10_000):
            device.send(values_of(10_000, first=first).tobytes())
            await turns()
        intake.delay.set()
        await eventually(lambda: bool(intake.opened) and intake.opened[0].received == 50_000)
        assert np.array_equal(intake.opened[0].samples, values_of(50_000))


async def test_other_networks_are_refused(benches: TcpBenches) -> None:
    async with (
        benches.serve(**raw("pump", "192.0.2.0/24")) as bench,
        bench.device() as device,
    ):
        assert await device.ends()
        assert bench.intake.opened == []
        assert bench.rejections("sensor_network") == 1


async def test_unknown_sensor_ends_the_connection(benches: TcpBenches) -> None:
    async with benches.serve(**raw("nowhere")) as bench, bench.device() as device:
        assert await device.ends()


async def test_reading_stops_without_room(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.commits = False
    data = values_of(300_000).tobytes()
    async with benches.serve(intake, **raw("pump")) as bench, bench.device() as device:
        device.send(data)
        await eventually(lambda: bool(intake.opened) and intake.opened[0].received > 0)
        (channel,) = intake.opened
        room = channel.credit // 4
        await eventually(lambda: channel.received == room)
        await asyncio.sleep(0)
        assert channel.received == room
        while channel.received < 300_000:
            channel.commit()
            await asyncio.sleep(0)
        assert np.array_equal(channel.samples, values_of(300_000))


async def test_pause_and_resume_of_the_intake(benches: TcpBenches) -> None:
    two = raw("pump")
    two["raw"] += raw("wide")["raw"]
    async with (
        benches.serve(**two) as bench,
        bench.device() as device,
        bench.device(port=1) as other,
    ):
        await eventually(lambda: len(bench.intake.opened) == 2)
        channel, free = sorted(bench.intake.opened, key=lambda one: one.sensor)
        channel.listener.pause()
        device.send(values_of(WINDOW).tobytes())
        await device.writer.drain()
        other.send(values_of(WINDOW, 3).tobytes())
        await eventually(lambda: free.received == WINDOW)  # what came later was read
        assert channel.received == 0
        channel.listener.resume()
        await eventually(lambda: channel.received == WINDOW)


async def test_new_connection_replaces_the_old_one(benches: TcpBenches) -> None:
    async with benches.serve(**raw("pump")) as bench, bench.device() as lost:
        lost.send(values_of(WINDOW + 1).tobytes())
        await eventually(lambda: bool(bench.intake.opened) and bench.intake.opened[0].received > 0)
        async with bench.device() as reborn:
            reborn.send(values_of(WINDOW).tobytes())
            await eventually(lambda: len(bench.intake.opened) == 2)
            first, second = bench.intake.opened
            assert first.is_closed
            await eventually(lambda: second.next_sequence == WINDOW)
            assert second.epoch > first.epoch


async def test_idle_connection_is_let_go(benches: TcpBenches) -> None:
    async with (
        benches.serve(idle_seconds=0.3, **raw("pump")) as bench,
        bench.device() as device,
    ):
        assert await device.ends()
        await eventually(lambda: bench.intake.opened[0].is_closed)


async def test_framed_and_raw_ports_serve_together(benches: TcpBenches) -> None:
    both = raw("wide") | {"tcp_port": 0}
    async with (
        benches.serve(**both) as bench,
        bench.device() as framed,
        bench.device(port=1) as plain,
    ):
        await framed.enter("pump", bench.token())
        plain.send(values_of(WINDOW, 3).tobytes())
        await eventually(lambda: bench.intake.live("wide") is not None)
