"""Packets of MQTT 5: where they end, and what a PUBLISH holds. Pure.

paho builds an object with 27 properties for each message, which takes longer than all the rest.
"""

from __future__ import annotations

from typing import NamedTuple

PUBLISH, PUBACK = 0x30, b"\x40\x02"
"""Types of packets, the second with its length: the packet identifier follows (3.4: success)."""
_KIND = 0xF0
_LENGTH_BYTES = 4
_CONTENT_TYPE, _PAIR, _VARIABLE = 0x03, 0x26, 0x0B
_STRINGS = frozenset({_CONTENT_TYPE, 0x08, 0x09})
_FIXED = {0x01: 1, 0x02: 4, 0x23: 2}
"""Bytes of the other properties that a PUBLISH may have (3.3.2.3)."""


class Packet(NamedTuple):
    """Where a packet lies within bytes.

    Attributes:
        head: first byte: type and flags.
        body: where the variable header begins.
        end: where the next packet begins.
    """

    head: int
    body: int
    end: int

    @property
    def is_publish(self) -> bool:
        """Whether it carries a message."""
        return self.head & _KIND == PUBLISH

    @property
    def is_puback(self) -> bool:
        """Whether it acknowledges a message of QoS 1."""
        return self.head & _KIND == PUBACK[0]


class Publish(NamedTuple):
    """A message.

    Attributes:
        mid: packet identifier; 0 with QoS 0.
        is_again: the broker sends it again (DUP).
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    is_again: bool
    content_type: str | None


def next_packet(data: bytes, at: int) -> Packet | None:
    """Return the packet that begins at ``at``; None if its end is not there yet.

    Raises:
        ValueError: its length is malformed.
    """
    size = len(data)
    length = shift = 0
    for place in range(at + 1, min(size, at + 1 + _LENGTH_BYTES)):
        byte = data[place]
        length |= (byte & 127) << shift
        if byte < 128:
            end = place + 1 + length
            return Packet(data[at], place + 1, end) if end <= size else None
        shift += 7
    if size > at + _LENGTH_BYTES:
        message = "the broker sent a packet without a length"
        raise ValueError(message)
    return None


def publish_packet(
    topic: str, payload: bytes, mid: int = 0, *, is_retained: bool = False, is_5: bool = True
) -> bytes:
    """Return a packet that publishes a message, without properties.

    Args:
        mid: packet identifier; 0: QoS 0.
        is_5: MQTT 5, else 3.1.1.
    """
    name = topic.encode()
    number = mid.to_bytes(2) if mid else b""
    head = b"%b%b%b%b" % (len(name).to_bytes(2), name, number, b"\0" if is_5 else b"")
    flags = PUBLISH | (2 if mid else 0) | is_retained
    return b"%c%b%b%b" % (flags, _encoded(len(head) + len(payload)), head, payload)


def _encoded(length: int) -> bytes:
    """Return a variable byte integer (1.5.5)."""
    encoded = bytearray()
    while length > 127:
        encoded.append(length & 127 | 128)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)


def read_puback(data: bytes, packet: Packet) -> tuple[int, int]:
    """Return packet identifier and reason code (3.4); in MQTT 3.1.1 the code is 0.

    Raises:
        ValueError: it is malformed.
    """
    _, at, end = packet
    if end < at + 2:
        message = "the broker sent an acknowledgement that is cut short"
        raise ValueError(message)
    return int.from_bytes(data[at : at + 2]), data[at + 2] if end > at + 2 else 0


def read_publish(data: bytes, packet: Packet) -> Publish:
    """Return the message of a packet of MQTT 5.

    Raises:
        ValueError: it is malformed.
    """
    head, at, end = packet
    qos = head >> 1 & 3
    topic_end = at + 2 + int.from_bytes(data[at : at + 2])
    topic = data[at + 2 : topic_end].decode()
    at, mid = topic_end, 0
    if qos:
        mid = int.from_bytes(data[at : at + 2])
        at += 2
    if at >= end:
        message = "the broker sent a message that is cut short"
        raise ValueError(message)
    length, at = data[at], at + 1
    content_type = None
    if length:
        length, at = _variable(data, at - 1)
        if at + length > end:
            message = "the broker sent a message that is cut short"
            raise ValueError(message)
        content_type = _content_type(data, at, at + length)
        at += length
    return Publish(topic, data[at:end], mid, qos, bool(head & 8), content_type)


def _content_type(data: bytes, at: int, end: int) -> str | None:
    found = None
    while at < end:
        kind, at = data[at], at + 1
        if kind in _STRINGS:
            begin, at = at + 2, at + 2 + int.from_bytes(data[at : at + 2])
            if kind == _CONTENT_TYPE:
                found = data[begin:at].decode()
        elif kind == _PAIR:
            at += 2 + int.from_bytes(data[at : at + 2])
            at += 2 + int.from_bytes(data[at : at + 2])
        elif kind == _VARIABLE:
            _, at = _variable(data, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            message = "the broker sent a message with an unknown property"
            raise ValueError(message)
    if at != end:
        message = "the broker sent a message with malformed properties"
        raise ValueError(message)
    return found


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """Return a variable byte integer (1.5.5), and where it ends."""
    number = 0
    for place in range(_LENGTH_BYTES):
        byte = data[at + place] if at + place < len(data) else 128
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    message = "the broker sent a malformed number"
    raise ValueError(message)
