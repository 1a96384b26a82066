"""The small parts of the ports of sensors."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.errors import ErrorCode, RateLimited, ServiceError
from schemas.sensor_wire.advice import ADVICE
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder
from schemas.sensor_wire.messages import Ack, Bye, Message, Result, encode, parse
from schemas.sensors import SensorFault
from service.sensors.records import EpochRefused
from service.transport.tcp.errors import error_of
from service.transport.tcp.floats import FloatAssembler
from service.transport.tcp.outbox import MOST_RESULTS, Outbox
from service.transport.tcp.refusals import FREE, LONGEST_SECONDS, MOST_KEYS, TokenRefusals
from tests.support.sensors.tcp.intake import joined, values_of


@pytest.mark.parametrize("channels", [1, 3])
def test_floats_may_be_split_anywhere(channels: int) -> None:
    values = values_of(5, channels)
    data = values.tobytes()
    for at in range(len(data) + 1):
        floats = FloatAssembler(channels)
        pieces = [floats.feed(data[:at]), floats.feed(data[at:])]
        assert floats.held_bytes == 0
        assert np.array_equal(joined(pieces), values)


def test_floats_may_come_byte_by_byte() -> None:
    values, floats = values_of(5, 3), FloatAssembler(3)
    pieces = [floats.feed(bytes([byte])) for byte in values.tobytes()]
    assert np.array_equal(joined(pieces), values)


def test_whole_floats_are_not_copied() -> None:
    data = values_of(5).tobytes()
    assert np.shares_memory(FloatAssembler(1).feed(data), np.frombuffer(data, np.uint8))


def sent(outbox: Outbox) -> list[Message]:
    return [parse(frame) for frame in FrameDecoder(FROM_SERVER).feed(outbox.take())]


def test_results_come_before_their_ack_and_bye_is_last() -> None:
    outbox = Outbox()
    outbox.acknowledge(Ack(4, 1))
    outbox.add(encode(Bye("drained")))
    outbox.add_result(encode(Result(0, b"{}")))
    outbox.acknowledge(Ack(8, 2))
    assert sent(outbox) == [Result(0, b"{}"), Ack(8, 2), Bye("drained")]
    assert sent(outbox) == []


def test_outbox_is_bounded() -> None:
    outbox = Outbox()
    for first in range(MOST_RESULTS + 5):
        outbox.add_result(encode(Result(first, b"{}")))
        outbox.add(encode(Bye()))
    assert outbox.dropped == 5
    results = [one for one in sent(outbox) if isinstance(one, Result)]
    assert [one.first for one in results] == list(range(5, MOST_RESULTS + 5))


def wait(refusals: TokenRefusals, now: float, *, network: str = "n", name: str = "s") -> float:
    try:
        refusals.check(network, name, now)
    except RateLimited as error:
        return error.retry_after or 0.0
    return 0.0


def test_waits_after_refused_tokens_double() -> None:
    refusals, waits = TokenRefusals(), []
    for _ in range(FREE + 10):
        waits.append(wait(refusals, 100.0))
        refusals.note("n", "s", 100.0)
    assert waits == [0.0] * FREE + [1, 2, 4, 8, 16, 32, *[LONGEST_SECONDS] * 4]
    assert wait(refusals, 100.0 + LONGEST_SECONDS) == 0.0
    assert wait(refusals, 100.0, name="neighbour") == 0.0
    assert wait(refusals, 100.0, network="other") == 0.0


def test_other_names_do_not_help_for_ever() -> None:
    refusals = TokenRefusals()
    for number in range(FREE * 10):
        assert wait(refusals, 100.0, name=str(number)) == 0.0
        refusals.note("n", str(number), 100.0)
    assert wait(refusals, 100.0, name="another") == 1.0


def test_refusals_are_bounded() -> None:
    refusals = TokenRefusals()
    for number in range(MOST_KEYS + 10):
        refusals.note(str(number), "s", 1.0)
    assert len(refusals._counts) == MOST_KEYS


def every_error(root: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in every_error(child))]


def test_every_error_becomes_a_frame() -> None:
    for kind in every_error():
        if kind.__module__ != "schemas.errors":
            continue
        error = kind("ingest") if kind.__name__ == "InsufficientScope" else kind()
        made = error_of(error, fatal=True)
        assert (made.code, made.detail, made.fatal) == (kind.code, error.detail, True)
        assert made.code in ADVICE
        (frame,) = FrameDecoder(FROM_SERVER).feed(encode(made))
        assert parse(frame) == made


def test_refused_epoch_says_why() -> None:
    made = error_of(EpochRefused(SensorFault.IN_USE, retry_after=3.0), fatal=True)
    assert (made.code, made.retry_after) == ("in_use", 3.0)
    assert made.code not in set(ErrorCode)
