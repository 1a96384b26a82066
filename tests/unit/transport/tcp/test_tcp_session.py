"""The session of a framed connection, without sockets and clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import NotFound, Unauthenticated
from schemas.sensor_wire.frames import FROM_SERVER, FrameDecoder
from schemas.sensor_wire.messages import (
    Ack,
    Bye,
    Data,
    Error,
    Hello,
    Message,
    Ping,
    Token,
    data_of,
    encode,
    parse,
)
from schemas.sensor_wire.packing import Packing
from schemas.sensors import SensorFault
from service.transport.tcp.session import actions as do
from service.transport.tcp.session.session import Phase, Session, SessionLimits
from tests.support.sensors.tcp.intake import values_of
from tests.support.suite.examples import examples

LIMITS = SessionLimits(hello_seconds=5, idle_seconds=60, max_frame_bytes=4096)
HELLO = Hello(7, 0, "pump-3", "token")
ACK = Ack(0, 1024)
DATA = data_of(0, values_of(4, 2))


def new() -> Session:
    return Session(LIMITS, now=100.0)


def opened(channels: int = 2, expires_at: float = 1000.0) -> Session:
    session = new()
    assert list(session.receive(encode(HELLO), 100.0)) == [do.Open(HELLO)]
    assert session.opened(channels, ACK, expires_at) == [do.SendAck(ACK)]
    return session


def said(actions: list[do.Action]) -> list[Message]:
    """The messages that the actions send; the last action is the close."""
    assert isinstance(actions[-1], do.Close)
    decoder = FrameDecoder(FROM_SERVER)
    frames = [action.frame for action in actions if isinstance(action, do.Send)]
    return [parse(frame) for data in frames for frame in decoder.feed(data)]


def refused(actions: list[do.Action]) -> str:
    """The code of the fatal error that the actions end with."""
    (error,) = said(actions)
    assert isinstance(error, Error)
    assert error.fatal
    return error.code


def test_samples_are_offered_after_the_hello() -> None:
    (offer,) = opened().receive(encode(DATA), 101.0)
    assert isinstance(offer, do.Offer)
    assert (offer.first, offer.at, offer.values.tolist()) == (0, None, values_of(4, 2).tolist())


@pytest.mark.parametrize("message", [DATA, Ping(), Token("x"), Bye(), HELLO])
def test_first_message_is_a_hello(message: Message) -> None:
    session = new()
    actions = list(session.receive(encode(message), 100.0))
    if message is HELLO:
        assert actions == [do.Open(HELLO)]
        assert refused(list(session.receive(encode(HELLO), 100.0))) == "bad_data"
    elif isinstance(message, Bye):
        assert actions == [do.Close("bye")]
    else:
        assert refused(actions) == "bad_data"
    assert list(session.receive(encode(HELLO), 100.0)) == []


def test_samples_before_the_ack_are_refused() -> None:
    session = new()
    first, *others = session.receive(encode(HELLO) + encode(DATA), 100.0)
    assert first == do.Open(HELLO)
    assert refused(others) == "bad_data"
    assert session.opened(2, ACK, 1000.0) == []


def test_refused_hello_ends_the_connection() -> None:
    session = new()
    list(session.receive(encode(HELLO), 100.0))
    assert refused(session.refuse(NotFound())) == "not_found"
    assert session.refuse(NotFound()) == []
    assert session.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("piece", "fault"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", SensorFault.BAD_DATA),
        (encode(DATA)[:-1] + b"\xff", SensorFault.BAD_DATA),
        (encode(Data(0, 0, 4, Packing.PLAIN, bytes(5))), SensorFault.BAD_DATA),
        (encode(data_of(0, values_of(4, 1))), SensorFault.WRONG_CHANNELS),
        (encode(data_of(0, values_of(4, 4))), SensorFault.WRONG_CHANNELS),
        (encode(data_of(0, values_of(1024, 2))), SensorFault.TOO_LARGE),
    ],
)
def test_bad_frame_is_counted_and_ends_the_connection(piece: bytes, fault: SensorFault) -> None:
    report, *others = opened().receive(piece, 101.0)
    assert isinstance(report, do.Report)
    assert report.fault is fault
    assert refused(others) == fault


def test_ping_asks_for_an_ack() -> None:
    assert list(opened().receive(encode(Ping()), 101.0)) == [do.AskForAck()]


def test_token_is_renewed_in_the_stream_or_expires() -> None:
    session = opened(expires_at=110.0)
    assert list(session.receive(encode(Token("new")), 101.0)) == [do.Renew("new")]
    assert session.renewed(120.0) == [do.AskForAck()]
    assert session.tick(119.0) == []
    assert said(session.tick(120.0)) == [Bye("expired")]


def test_refused_renewal_leaves_the_token() -> None:
    session = opened(expires_at=110.0)
    list(session.receive(encode(Token("new")), 101.0))
    (sent,) = session.reject(Unauthenticated())
    assert isinstance(sent, do.Send)
    assert session.tick(109.0) == []
    assert session.phase is Phase.OPEN


def test_tokens_come_one_at_a_time() -> None:
    session = opened()
    renew, *others = session.receive(encode(Token("a")) + encode(Token("b")), 101.0)
    assert renew == do.Renew("a")
    assert refused(others) == "invalid_request"


def test_device_that_says_nothing_is_refused() -> None:
    session = new()
    assert session.tick(105.0) == []
    assert refused(session.tick(105.1)) == "upload_timeout"


def test_idle_device_is_let_go() -> None:
    session = opened()
    list(session.receive(encode(Ping()), 150.0))
    assert session.tick(210.0) == []
    assert said(session.tick(210.1)) == [Bye("idle")]


def test_device_is_not_idle_while_the_server_does_not_read() -> None:
    session = opened()
    session.paused(500.0)
    assert session.tick(501.0) == []


def test_frame_that_trickles_in_is_refused() -> None:
    session, frame = opened(), encode(DATA)
    now = 100.0
    for byte in frame[:-1]:
        now += 1.0
        assert list(session.receive(bytes([byte]), now)) == []
        if actions := session.tick(now):
            assert refused(actions) == "upload_timeout"
            assert 120 < now < 123
            return
    raise AssertionError("it was not refused")


def test_time_of_a_frame_begins_with_it() -> None:
    session, frame = opened(), encode(DATA)
    for now in range(101, 150):  # each piece ends a frame and begins another
        list(session.receive(frame[6:] + frame[:6] if now > 101 else frame[:6], float(now)))
        assert session.tick(float(now)) == []


def test_fault_goes_on() -> None:
    session = opened()
    (sent,) = session.fault(SensorFault.GAP, "Samples are missing.")
    assert isinstance(sent, do.Send)
    assert session.phase is Phase.OPEN


@pytest.mark.parametrize("reason", ["replaced", "removed", "changed", "drained"])
def test_end_of_the_channel_is_announced(reason: str) -> None:
    assert said(opened().ended(reason)) == [Bye(reason)]


def test_drain_commits_what_was_taken() -> None:
    session = opened()
    assert session.drain() == [do.Finish()]
    assert list(session.receive(encode(DATA), 101.0)) == []
    assert session.drain() == []
    acknowledged, *others = session.finished(Ack(4, 0))
    assert acknowledged == do.SendAck(Ack(4, 0))
    assert said(others) == [Bye("drained")]


def test_drain_ends_a_new_connection_at_once() -> None:
    assert said(new().drain()) == [Bye("drained")]


def test_bye_is_answered_with_the_last_ack() -> None:
    session = opened()
    assert list(session.receive(encode(Bye()), 101.0)) == [do.Finish()]
    assert session.finished(Ack(4, 0)) == [do.SendAck(Ack(4, 0)), do.Close("bye")]


SAID: list[Message] = [HELLO, DATA, Ping(), Token("t"), Bye()]
MESSAGES = st.sampled_from([*map(encode, SAID)])


@examples(300)
@given(st.lists(st.one_of(MESSAGES, st.binary(max_size=20)), max_size=12), st.booleans())
def test_samples_are_never_offered_unless_it_is_open(pieces: list[bytes], accept: bool) -> None:
    session, closes = new(), 0
    for piece in pieces:
        for action in session.receive(piece, 100.0):
            assert session.phase is not Phase.CLOSED or isinstance(action, do.Close | do.Send)
            closes += isinstance(action, do.Close)
            assert not isinstance(action, do.Offer) or session.phase is Phase.OPEN
            if isinstance(action, do.Open) and accept:
                session.opened(2, ACK, 1000.0)
    assert closes == (session.phase is Phase.CLOSED)
