"""Packets of MQTT 5, against those that paho writes, at every split."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from service.mqtt.packets import (
    Packet,
    Publish,
    next_packet,
    publish_packet,
    read_puback,
    read_publish,
)


def properties(**values: object) -> bytes:
    found = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(found, name, value)
    return bytes(found.pack())  # type: ignore[no-untyped-call]


def publish(payload: bytes, packed: bytes = b"\0", head: int = 0x32, mid: int = 7) -> bytes:
    topic = b"potoo/sensors/pump/data"
    body = len(topic).to_bytes(2) + topic
    if head & 6:
        body += mid.to_bytes(2)
    body += packed + payload
    length, size = b"", len(body)
    while True:
        size, byte = divmod(size, 128)
        length += bytes([byte | 128 if size else byte])
        if not size:
            return bytes([head]) + length + body


def read(data: bytes, at: int = 0) -> Publish:
    packet = next_packet(data, at)
    assert packet
    assert packet.is_publish
    return read_publish(data, packet)


@pytest.mark.parametrize("size", [0, 1, 80, 200, 20_000, 2_100_000])
def test_message_is_read_at_any_size(size: int) -> None:
    payload = bytes(size)
    data = b"\xd0\0" + publish(payload) + b"\xd0\0"
    assert read(data, 2) == Publish(
        "potoo/sensors/pump/data", payload, 7, 1, is_again=False, content_type=None
    )
    assert next_packet(data, 0) == Packet(0xD0, 2, 2)
    assert next_packet(data, len(data) - 2) == Packet(0xD0, len(data), len(data))


def test_part_of_a_packet_is_no_packet() -> None:
    data = publish(bytes(200))
    assert all(next_packet(data[:end], 0) is None for end in range(len(data)))


def test_flags_are_read() -> None:
    assert read(publish(b"x", head=0x3A)).is_again
    no_id = read(publish(b"x", head=0x30))
    assert (no_id.qos, no_id.mid, no_id.payload) == (0, 0, b"x")


@pytest.mark.parametrize("is_long", [False, True])
def test_content_type_is_found_among_other_properties(is_long: bool) -> None:
    packed = properties(
        PayloadFormatIndicator=1,
        MessageExpiryInterval=60,
        ResponseTopic="answers",
        CorrelationData=b"1234",
        UserProperty=[("a", "b" * (300 if is_long else 1)), ("c", "d")],
        SubscriptionIdentifier=[300],
        ContentType="application/json",
    )
    found = read(publish(b"[1]", packed))
    assert (found.content_type, found.payload) == ("application/json", b"[1]")


@pytest.mark.parametrize(
    "data",
    [
        b"\x32\xff\xff\xff\xff\x01",
        publish(b"", b"\x02\x7f\x00"),
        publish(b"", b"\x02\x01"),
        publish(b"", b"\x80\x80\x80\x80"),
        publish(b"", b""),
        b"\x32\x04\x00\x02\xff\xfe",
    ],
)
def test_malformed_packet_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"the broker sent|codec"):
        read(data)


@pytest.mark.parametrize("mid", [0, 7])
@pytest.mark.parametrize("size", [0, 127, 128, 20_000, 2_100_000])
def test_message_is_written_as_it_is_read(size: int, mid: int) -> None:
    payload = bytes(size)
    data = publish_packet("potoo/sensors/pump/data", payload, mid)
    assert data == publish(payload, head=0x32 if mid else 0x30, mid=mid)
    packet = next_packet(data, 0)
    assert packet
    assert packet.end == len(data)


def test_message_of_3_1_1_has_no_properties() -> None:
    packet = publish_packet("a", b"xy", 258, is_retained=True, is_5=False)
    assert packet == b"\x33\x07\0\x01a\x01\x02xy"


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"\x40\x02\x01\x02", (258, 0)), (b"\x40\x03\x00\x07\x87", (7, 0x87))],
)
def test_acknowledgement_is_read(data: bytes, expected: tuple[int, int]) -> None:
    packet = next_packet(data, 0)
    assert packet
    assert packet.is_puback
    assert read_puback(data, packet) == expected


def test_acknowledgement_that_is_cut_short_is_refused() -> None:
    packet = next_packet(b"\x40\x01\x00", 0)
    assert packet
    with pytest.raises(ValueError, match="cut short"):
        read_puback(b"\x40\x01\x00", packet)
