"""Framed TCP: bad frames, limits, slow devices, and the end of the server."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Hello,
    Ping,
    Result,
    data_of,
    encode,
)
from schemas.sensor_wire.packing import Packing
from service.settings import SettingsError
from service.transport.tcp.framed import TURN_FRAMES
from tests.support.proxies.certificates import self_signed
from tests.support.sensors.tcp.bench import TcpBenches
from tests.support.sensors.tcp.intake import WINDOW, FakeIntake, values_of
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio
FLOOD = 5000
"""Frames that arrive in few reads."""


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "bad_data"),
        (encode(data_of(0, values_of(4)))[:-1] + b"\xff", "bad_data"),
        (encode(data_of(0, values_of(4, 3))), "wrong_channels"),
        (encode(data_of(0, values_of(300_000))), "too_large"),
        (encode(Hello(1, 0, "pump")), "bad_data"),
    ],
)
async def test_bad_frames_end_the_connection(
    benches: TcpBenches, garbage: bytes, code: str
) -> None:
    async with benches.serve() as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        device.send_samples(0, values_of(WINDOW))
        device.send(garbage)
        assert (await device.refusal()).code == code
        (channel,) = bench.intake.opened
        assert [*map(str, channel.faults)] == [code]
        assert np.array_equal(channel.samples, values_of(WINDOW))
        await eventually(lambda: channel.is_closed)


async def test_samples_beyond_the_credit_end_the_connection(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.commits, intake.most_bytes = False, 100_000
    async with benches.serve(intake) as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        for first in range(0, 60_000, 1000):  # a flood that never reads
            device.send_samples(first, values_of(1000))
        assert (await device.refusal()).code == "overloaded"
        (channel,) = intake.opened
        assert sum(one.values.nbytes for one in channel.offered) <= 104_000


async def test_too_many_connections_are_refused(benches: TcpBenches) -> None:
    async with benches.serve(max_connections=2) as bench:
        async with bench.device() as one, bench.device() as two, bench.device() as three:
            refused = await three.refusal()
            assert (refused.code, refused.retry_after) == ("overloaded", 5)
            await one.enter("pump", bench.token())
            await two.enter("wide", bench.token())
        assert bench.rejections("connections") == 1

        async def enter() -> bool:
            async with bench.device() as device:
                device.send(Hello(2, 0, "pump", bench.token()))
                return isinstance(await device.receive(), Ack)

        async with asyncio.timeout(PATIENCE):
            while not await enter():  # noqa: ASYNC110 - no event says when it is possible
                await asyncio.sleep(0.01)


async def test_silent_idle_and_slow_devices_are_let_go(benches: TcpBenches) -> None:
    async with (
        benches.serve(hello_seconds=0.3, idle_seconds=0.6) as bench,
        bench.device() as silent,
        bench.device() as slow_hello,
        bench.device() as idle,
    ):
        slow_hello.send(encode(Hello(1, 0, "pump", "t"))[:20])
        await idle.enter("wide", bench.token())
        assert (await silent.refusal()).code == "upload_timeout"
        assert (await slow_hello.refusal()).code == "upload_timeout"
        assert await idle.farewell() == "idle"


async def test_device_that_reads_nothing_loses_results_not_memory(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.commits = False
    async with benches.serve(intake) as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        (channel,) = intake.opened
        device.pause_reading()
        device.send_samples(0, values_of(12_000))
        await eventually(lambda: channel.received == 12_000)
        while channel.next_sequence < 12_000:  # in steps, as commits come
            channel.received = channel.next_sequence + 400
            channel.commit()
            await asyncio.sleep(0)
        device.resume_reading()
        messages = await device.safe_from(12_000)
        results = [one for one in messages if isinstance(one, Result)]
        assert 0 < len(results) < 12_000 // WINDOW
        assert results[-1].first == 12_000 - WINDOW


async def test_drain_says_goodbye_once_all_is_committed(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.commits = False
    async with benches.serve(intake) as bench, bench.device() as device, bench.device() as new:
        await device.enter("pump", bench.token())
        device.send_samples(0, values_of(9))
        device.send(Ping())
        await device.receive()
        bench.shutdown.drain()
        *results, ack, bye = await device.rest()
        assert [type(one) for one in results] == [Result, Result]
        assert (ack, bye) == (Ack(8, 64 * 1024), Bye("drained"))
        assert await new.farewell() == "drained"
        with pytest.raises(ConnectionRefusedError):
            async with bench.device():
                pass


async def test_fault_of_ours_ends_one_connection(benches: TcpBenches) -> None:
    async with benches.serve() as bench, bench.device() as broken, bench.device() as other:
        await broken.enter("pump", bench.token())
        await other.enter("wide", bench.token())
        bench.intake.opened[0].fails_to_close = True
        broken.send(Bye())
        assert (await broken.refusal()).code == "internal_error"
        other.send(Ping())
        assert isinstance(await other.receive(), Ack)


async def test_device_that_leaves_while_it_enters(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.delay = asyncio.Event()
    async with benches.serve(intake) as bench:
        async with bench.device() as device:
            device.send(Hello(1, 0, "pump", bench.token()))
            await device.writer.drain()
        intake.delay.set()
        await eventually(lambda: bool(intake.opened) and intake.opened[0].is_closed)


async def test_half_closed_connection_gets_its_answers(benches: TcpBenches) -> None:
    async with benches.serve() as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        device.send_samples(0, values_of(WINDOW))
        device.writer.write_eof()
        result, *acks = await device.rest()
        assert isinstance(result, Result)
        assert acks[-1] == Ack(WINDOW, 64 * 1024)


async def test_tls(benches: TcpBenches, tmp_path: Path) -> None:
    self_signed(tmp_path, "one")
    files: dict[str, Any] = {"tcp_cert": tmp_path / "cert.pem", "tcp_key": tmp_path / "key.pem"}
    trust = ssl.create_default_context(cafile=str(files["tcp_cert"]))
    async with benches.serve(**files) as bench:
        async with bench.device(trust) as device:
            await device.enter("pump", bench.token())
            device.send_samples(0, values_of(WINDOW))
            await device.safe_from(WINDOW)
            device.send(Bye())
            assert isinstance((await device.rest())[-1], Ack)
        async with bench.device() as plain:  # no TLS
            plain.send(Hello(1, 0, "pump", bench.token()))
            assert (await plain.reader.read(1000))[:1] != b"P"

        self_signed(tmp_path, "two")  # renewed
        trust = ssl.create_default_context(cafile=str(files["tcp_cert"]))

        async def is_trusted() -> bool:
            try:
                async with bench.device(trust):
                    return True
            except ssl.SSLError:
                return False

        async with asyncio.timeout(PATIENCE):
            while not await is_trusted():  # noqa: ASYNC110 - no event says when it is renewed
                await asyncio.sleep(0.05)


async def test_certificate_that_cannot_be_read_is_named(
    benches: TcpBenches, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"^sensors\.tcp_cert, sensors\.tcp_key: No such file"):
        async with benches.serve(tcp_cert=tmp_path / "no.pem", tcp_key=tmp_path / "key.pem"):
            pass


async def test_port_in_use_is_named(benches: TcpBenches) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(SettingsError, match=r"^sensors\.tcp_port: cannot listen .* in use"):
            async with benches.serve(tcp_port=port):
                pass


async def test_a_thousand_idle_connections_do_not_disturb_one(benches: TcpBenches) -> None:
    async with benches.serve(max_connections=1100, hello_seconds=60) as bench:
        idle = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", bench.ports[0]) for _ in range(1000))
        )
        async with bench.device() as device:
            await device.enter("pump", bench.token())
            device.send_samples(0, values_of(WINDOW))
            result, _ = await device.safe_from(WINDOW)
            assert isinstance(result, Result)
            assert json.loads(result.answer)["label"] == "calm"
        for _, writer in idle:
            writer.transport.abort()


async def test_handshakes_in_progress_count_as_connections(
    benches: TcpBenches, tmp_path: Path
) -> None:
    self_signed(tmp_path, "one")
    files: dict[str, Any] = {"tcp_cert": tmp_path / "cert.pem", "tcp_key": tmp_path / "key.pem"}
    trust = ssl.create_default_context(cafile=str(files["tcp_cert"]))
    async with benches.serve(max_connections=20, hello_seconds=60, **files) as bench:
        port = bench.ports[0]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        await eventually(lambda: bench.rejections("connections") == 180)
        for reader, _ in silent[20:]:
            assert await reader.read() == b""
        assert not any(reader.at_eof() for reader, _ in silent[:20])
        for _, writer in silent:
            writer.transport.abort()

        async def enter() -> bool:
            try:
                async with bench.device(trust) as device:
                    await device.enter("pump", bench.token())
            except ConnectionError:
                return False
            return True

        async with asyncio.timeout(PATIENCE):
            while not await enter():  # noqa: ASYNC110 - no event says when it is possible
                await asyncio.sleep(0.02)


async def test_unfinished_handshakes_end(benches: TcpBenches, tmp_path: Path) -> None:
    self_signed(tmp_path, "one")
    files: dict[str, Any] = {"tcp_cert": tmp_path / "cert.pem", "tcp_key": tmp_path / "key.pem"}
    async with benches.serve(hello_seconds=0.2, **files) as bench, bench.device() as slow:
        assert await slow.ends()
    async with benches.serve(hello_seconds=60, **files) as bench, bench.device() as waiting:
        bench.shutdown.drain()
        assert await waiting.ends()


async def test_a_flood_of_tiny_frames_lets_others_have_their_turns(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    flood = b"".join(encode(data_of(first, values_of(1, first=first))) for first in range(FLOOD))
    async with benches.serve(intake) as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        (channel,) = intake.opened
        device.send(flood + encode(Bye()))
        longest = taken = 0
        async with asyncio.timeout(PATIENCE):
            while taken < FLOOD:
                await asyncio.sleep(0)
                longest, taken = max(longest, len(channel.offered) - taken), len(channel.offered)
        assert longest <= 2 * TURN_FRAMES  # the end of one read, and the begin of the next
        assert np.array_equal(channel.samples, values_of(FLOOD))
        assert (await device.rest())[-1] == Ack(FLOOD, 64 * 1024)


async def test_what_unpacks_to_much_counts_as_much(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    zeros = np.zeros((2**18, 1), np.float32)  # 1 MiB, which packs to some hundred bytes
    flood = encode(data_of(0, zeros, packing=Packing.ZSTD)) * 20
    async with benches.serve(intake) as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        (channel,) = intake.opened
        channel.commits = False
        device.send(flood)
        longest = taken = 0
        async with asyncio.timeout(PATIENCE):
            while taken < 20:
                await asyncio.sleep(0)
                longest, taken = max(longest, len(channel.offered) - taken), len(channel.offered)
        assert longest <= 2
