"""Devices that send frames to real sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from auth.store.revocations import Kind
from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Error,
    Hello,
    Ping,
    Result,
    Token,
    data_of,
    encode,
)
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorAnswer, SensorFault
from service.settings import SettingsError
from service.transport.tcp.framed import TURN_FRAMES
from tests.support.proxies.certificates import self_signed
from tests.support.sensors.tcp_bench import TcpBenches
from tests.support.sensors.tcp_intake import WINDOW, FakeIntake, values_of
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio
FLOOD = 5000
"""Frames that arrive in few reads."""


async def test_samples_are_answered_and_acknowledged(benches: TcpBenches) -> None:
    async with benches.serve() as bench, bench.device() as device:
        assert await device.enter("pump", bench.token()) == Ack(0, 64 * 1024)
        for first in range(0, 12, 3):
            device.send_samples(first, values_of(3, first=first), time_us=1_700_000_000_000_000)
        messages = await device.safe_from(12)
        results = [one for one in messages if isinstance(one, Result)]
        assert [one.first for one in results] == [0, 4, 8]
        answer = SensorAnswer.model_validate_json(results[2].answer)
        assert (answer.first_sequence, answer.epoch, answer.label) == (8, 1, "calm")
        (channel,) = bench.intake.opened
        assert np.array_equal(channel.samples, values_of(12))
        assert channel.offered[0].at == 1_700_000_000
        assert channel.principal is not None
        assert (channel.principal.name, channel.door) == ("plant", "tcp")
        device.send(Bye())
        assert await device.rest() == [Ack(12, 64 * 1024)]
        assert channel.is_closed


@pytest.mark.parametrize("packing", [Packing(flags) for flags in range(4)])
async def test_every_packing_arrives(benches: TcpBenches, packing: Packing) -> None:
    values = values_of(500, 3)
    values[7] = np.nan
    async with benches.serve() as bench, bench.device() as device:
        await device.enter("wide", bench.token())
        device.send_samples(0, values, packing)
        await device.safe_from(500)
        assert bench.intake.opened[0].samples.tobytes() == values.tobytes()


async def test_ack_comes_after_the_commit(benches: TcpBenches) -> None:
    intake = FakeIntake(pump=1)
    intake.commits = False
    async with benches.serve(intake) as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        device.send_samples(0, values_of(8))
        device.send(Ping())
        assert await device.receive() == Ack(0, 64 * 1024)
        assert intake.opened[0].touches == 1
        intake.opened[0].commit()
        first, second, ack = [await device.receive() for _ in range(3)]
        assert isinstance(first, Result)
        assert isinstance(second, Result)
        assert ack == Ack(8, 64 * 1024)


async def test_faults_go_on_and_the_channels_end_is_announced(benches: TcpBenches) -> None:
    async with benches.serve() as bench, bench.device() as device:
        await device.enter("pump", bench.token())
        (channel,) = bench.intake.opened
        channel.listener.fault(SensorFault.GAP, "3 samples are missing.")
        assert await device.receive() == Error("gap", "3 samples are missing.")
        bench.intake.end(channel, "removed")
        assert await device.farewell() == "removed"


async def test_epochs_of_one_name(benches: TcpBenches) -> None:
    async with benches.serve() as bench, bench.device() as first:
        token = bench.token()
        await first.enter("pump", token, epoch=5)
        first.send_samples(0, values_of(WINDOW))
        await first.safe_from(WINDOW)
        async with bench.device() as other:
            other.send(Hello(6, 0, "pump", token))
            refused = await other.refusal()
            assert (refused.code, refused.retry_after) == ("in_use", 2)
        async with bench.device() as again:  # the first connection is half-open, for the device
            assert await again.enter("pump", token, epoch=5) == Ack(WINDOW, 64 * 1024)
            assert await first.farewell() == "replaced"
        await eventually(lambda: bench.intake.live("pump") is None)
        async with bench.device() as reborn:
            await reborn.enter("pump", token, epoch=6)
            reborn.send(Bye())
            await reborn.rest()
        async with bench.device() as stale:
            stale.send(Hello(5, 0, "pump", token))
            assert (await stale.refusal()).code == "stale_epoch"


async def test_refused_hello(benches: TcpBenches) -> None:
    async with benches.serve() as bench:
        for name, token, code in (
            ("pump", None, "unauthenticated"),
            ("pump", "a.b.c", "unauthenticated"),
            ("pump", bench.token(scopes=frozenset()), "insufficient_scope"),
            ("nowhere", bench.token(), "not_found"),
        ):
            async with bench.device() as device:
                device.send(Hello(1, 0, name, token))
                assert (await device.refusal()).code == code
        assert bench.intake.opened == []


async def test_refused_tokens_cost_a_wait(benches: TcpBenches) -> None:
    async with benches.serve() as bench:
        codes = []
        for _ in range(7):
            async with bench.device() as device:
                device.send(Hello(1, 0, "pump", "a.b.c"))
                refused = await device.refusal()
                codes.append(refused.code)
        assert codes == ["unauthenticated"] * 5 + ["rate_limited"] * 2
        assert refused.retry_after is not None
        async with bench.device() as neighbour:
            await neighbour.enter("wide", bench.token())


async def test_token_expires_or_is_renewed_or_revoked(benches: TcpBenches) -> None:
    async with (
        benches.serve() as bench,
        bench.device() as expiring,
        bench.device() as renewed,
        bench.device() as revoked,
    ):
        bench.intake.specs["other"] = bench.intake.specs["pump"]
        await expiring.enter("pump", bench.token(seconds=2))
        await renewed.enter("wide", bench.token(seconds=2))
        renewed.send(Token("a.b.c"))
        refused = await renewed.receive()
        assert isinstance(refused, Error)
        assert (refused.code, refused.fatal) == ("unauthenticated", False)
        renewed.send(Token(bench.token(name="somebody else")))
        refused = await renewed.receive()
        assert isinstance(refused, Error)
        renewed.send(Token(bench.token()))
        assert isinstance(await renewed.receive(), Ack)
        await revoked.enter("other", bench.token(name="thief"))
        principal = bench.intake.opened[-1].principal
        assert principal is not None
        await bench.identity.revocations.add([(Kind.TOKEN, principal.token_id)])
        assert (await revoked.refusal()).code == "unauthenticated"
        assert await expiring.farewell() == "expired"
        renewed.send(Ping())
        assert isinstance(await renewed.receive(), Ack)


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
