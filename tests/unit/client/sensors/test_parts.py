"""The small parts of the sensor client: addresses, tokens, pauses, what may be sent next."""

from __future__ import annotations

import base64
import inspect
import json
import time
from pathlib import Path

import numpy as np
import pytest

from client.sensors import BlockingSensorClient, SensorClient
from client.sensors.backoff import Backoff
from client.sensors.blocking import Options
from client.sensors.errors import (
    NameInUse,
    NotAuthorized,
    Refused,
    StaleEpoch,
    TokenUnavailable,
    UnknownSensor,
    refusal,
)
from client.sensors.links.address import Address, parse_address
from client.sensors.progress import Progress
from client.sensors.queue.segment import StoredFrame
from client.sensors.tokens import fetch_token
from schemas.errors import ErrorCode
from schemas.sensor_wire.frames import HEADER, Frame, FrameType
from schemas.sensor_wire.messages import Ack, Data, data_of, encode, parse

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://127.0.0.1", Address("tcp", "127.0.0.1", 7700)),
        ("tcps://potoo.example:7701", Address("tcps", "potoo.example", 7701)),
        ("tcp://[::1]:7700/", Address("tcp", "::1", 7700)),
        ("mqtt://broker", Address("mqtt", "broker", 1883)),
        ("mqtts://pump:a%40b@broker/plant/2", Address("mqtts", "broker", 8883, "pump", "a@b", "plant/2")),
    ],
)  # fmt: skip
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "127.0.0.1:7700",
        "tcp://",
        "tcp://user@host",
        "tcp://host/path",
        "mqtt://h?a=1",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://"):
        parse_address(url)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_address("mqtt://pump:secret@broker"))


def test_pauses_double_with_jitter_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 60, jitter=lambda: 1.0)

    assert [backoff.pause(failures) for failures in (1, 2, 3, 8, 9, 1000)] == [
        0.5,
        1,
        2,
        60,
        60,
        60,
    ]
    assert Backoff(0.5, 60, jitter=lambda: 0.0).pause(1) == 0.25


def token(lasts: float) -> str:
    """An unsigned token that expires in so many seconds."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + lasts}).encode())
    return f"e30.{claims.decode().rstrip('=')}.sig"


async def test_a_token_is_renewed_before_it_expires() -> None:
    short, long = await fetch_token(token(100)), await fetch_token(token(10_000))

    assert short.renew_at == pytest.approx(time.time() + 80, abs=5)
    assert long.renew_at == pytest.approx(time.time() + 9940, abs=5)
    assert (await fetch_token("opaque")).renew_at is None


async def test_tokens_come_from_strings_files_and_functions(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")

    async def coroutine() -> str:
        return "from a coroutine"

    assert (await fetch_token("given")).text == "given"
    assert (await fetch_token(tmp_path / "token")).text == "from a file"
    assert (await fetch_token(lambda: "from a function")).text == "from a function"
    assert (await fetch_token(coroutine)).text == "from a coroutine"


async def test_a_missing_token_is_a_typed_error(tmp_path: Path) -> None:
    def failing() -> str:
        return str(1 // 0)

    for source in (tmp_path / "missing", failing):
        with pytest.raises(TokenUnavailable):
            await fetch_token(source)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("unauthenticated", NotAuthorized),
        ("insufficient_scope", NotAuthorized),
        ("not_found", UnknownSensor),
        ("in_use", NameInUse),
        ("stale_epoch", StaleEpoch),
        ("overloaded", Refused),
    ],
)
def test_refusals_are_typed(code: str, kind: type[Refused]) -> None:
    error = refusal(code, "why", 2.5)

    assert type(error) is kind
    assert (error.code, error.retry_after, str(error)) == (code, 2.5, f"why ({code})")


@pytest.mark.parametrize("code", ErrorCode)
def test_refusals_that_may_pass_are_not_lasting(code: ErrorCode) -> None:
    passing = {"rate_limited", "overloaded", "not_ready", "deadline_exceeded", "internal_error"}

    assert not (refusal(code, "").is_lasting and code in passing)


def frame(first: int, end: int) -> StoredFrame:
    values = np.arange(first, end, dtype=np.float32).reshape(-1, 1)
    return StoredFrame(first, end, encode(data_of(first, values)))


def ranges(sent: list[bytes]) -> list[tuple[int, int]]:
    found = []
    for one in sent:
        data = parse(Frame(FrameType.DATA, one[HEADER.size :]))
        assert isinstance(data, Data)
        values = data.values(1)[:, 0]
        assert list(values) == list(range(data.first, data.first + data.count))
        found.append((data.first, data.first + data.count))
    return found


def progress(credit: int = 100, safe: int = 0) -> Progress:
    found = Progress(channels=1)
    found.acknowledge(Ack(safe, credit * 4))
    return found


def test_frames_are_sent_up_to_the_credit_and_the_last_one_is_split() -> None:
    sender = progress(100)

    sent = sender.take([frame(0, 60), frame(60, 120), frame(120, 180)])

    assert ranges(sent) == [(0, 60), (60, 100)]
    assert sender.position == 100
    assert sender.is_held_back


@pytest.mark.parametrize(("safe", "gap_end"), [(0, 0), (40, 0), (40, 70)])
def test_credit_is_used_to_the_last_sample_and_not_beyond(safe: int, gap_end: int) -> None:
    """``(first + count - base) * 4 * channels <= credit``, as in ``docs/tcp.md``."""
    two = Progress(channels=2)
    two.acknowledge(Ack(safe, 807))  # 100 samples of two channels, and 7 bytes
    two.gap_end = gap_end
    base = max(safe, gap_end)
    assert two.limit == base + 100
    assert (two.limit - base) * 4 * 2 <= 807 < (two.limit + 1 - base) * 4 * 2


def test_a_frame_is_not_split_for_a_small_rest_of_the_credit() -> None:
    sender = progress(100)
    sender.take([frame(0, 80)])

    assert sender.is_held_back
    assert ranges(sender.take([frame(80, 120)])) == []
    assert sender.acknowledge(Ack(50, 400))
    assert ranges(sender.take([frame(80, 120)])) == [(80, 120)]


def test_samples_after_a_gap_longer_than_the_credit_are_sent() -> None:
    sender = progress(100)

    assert ranges(sender.take([frame(5000, 5060), frame(5060, 5120)])) == [
        (5000, 5060),
        (5060, 5100),
    ]
    assert not sender.acknowledge(Ack(0, 400))
    assert sender.acknowledge(Ack(5100, 400))
    assert sender.limit == 5200


def test_what_is_not_confirmed_is_sent_again() -> None:
    sender = progress(100)
    sender.take([frame(0, 100)])
    sender.acknowledge(Ack(40, 400))

    sender.go_back()

    assert ranges(sender.take([frame(0, 100)])) == [(40, 100)]


def test_a_server_that_knows_more_moves_the_position() -> None:
    assert progress(100, safe=1000).position == 1000


def test_the_blocking_client_takes_the_same_arguments() -> None:
    given = inspect.signature(SensorClient).parameters

    assert set(Options.__annotations__) == set(given) - {"server", "name"}
    for name in ("send", "results", "connected", "wait_safe", "sent", "close", "status"):
        assert hasattr(BlockingSensorClient, name)
        assert hasattr(SensorClient, name)
