"""Devices that send frames to real sockets."""

from __future__ import annotations

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
)
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorAnswer, SensorFault
from tests.support.sensors.tcp.bench import TcpBenches
from tests.support.sensors.tcp.intake import WINDOW, FakeIntake, values_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.anyio


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
